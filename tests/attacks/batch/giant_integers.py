"""Numbers of thousands of digits, which take quadratic time to read."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload

ATTACK = Attack("cost time by a number of 100,000 digits", "batch_unreadable", LIBRARY, ("digits",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=b'{"x": [[' + b"9" * 100_000 + b", 1, 1, 1]]}", batch_name="batch.json")

"""A table with zero bytes in it."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload

ATTACK = Attack("end texts early by zero bytes", "batch_mismatch", NOTHING, ("`a\N{REPLACEMENT CHARACTER}`",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=b"a\0,b,c,d\n" + b"1\0,2,3,4\n" * 8, batch_name="batch.csv")

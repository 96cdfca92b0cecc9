"""A few bytes that say they are 16 GB."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import npy

ATTACK = Attack("have 6 GB allocated for 1 KiB of data", "batch_unreadable", MEMORY, ("holds 1024 bytes",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=npy((400_000_000, 4)), batch_name="batch.npy")

"""A shape whose product overflows an integer of the machine."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import npy

ATTACK = Attack("overflow by a shape", "batch_unreadable", LIBRARY, ("more than",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=npy((1 << 40, 1 << 40)), batch_name="batch.npy")

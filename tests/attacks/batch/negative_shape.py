"""A shape with fewer than no rows."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import npy

ATTACK = Attack("declare a negative shape", "batch_unreadable", LIBRARY, ("shape",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=npy((-4, 4)), batch_name="batch.npy")

"""Records instead of numbers, in whose header types may nest."""

from __future__ import annotations

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import batch

ATTACK = Attack("pass records for numbers", "batch_unreadable", NOTHING, ("records", "`a`"), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=batch(x=np.zeros(8, dtype=[("a", "f4"), ("b", "f4", (2, 2))])))

"""A file whose second half never came."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import plain

ATTACK = Attack("break the reader by half a file", "model_unreadable", LIBRARY, ("cut short",))


def make(canaries: Canaries) -> Upload:
    return Upload(plain("h5")[: len(plain("h5")) // 2], "model.h5")

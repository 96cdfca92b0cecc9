"""A file whose second half never came."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import plain

ATTACK = Attack("break the reader by half a file", "model_unreadable", LIBRARY, ("damaged or cut",))


def make(canaries: Canaries) -> Upload:
    return Upload(plain()[: len(plain()) // 2])

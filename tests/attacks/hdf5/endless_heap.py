"""A table of names in which HDF5 steps from one entry to the next by 0 bytes, for ever."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import TIME, Attack, Upload
from tests.attacks.making import plain

ATTACK = Attack("hang HDF5 in a heap without end", "model_unreadable", TIME, ("table of names",))

SIGNATURE = b"GCOL"
FIRST_ENTRY = slice(16, 32)


def make(canaries: Canaries) -> Upload:
    content = bytearray(plain("h5"))
    at = content.find(SIGNATURE)
    assert at > 0
    while at >= 0:
        content[at + FIRST_ENTRY.start : at + FIRST_ENTRY.stop] = bytes(16)
        at = content.find(SIGNATURE, at + 4)
    return Upload(bytes(content), "model.h5")

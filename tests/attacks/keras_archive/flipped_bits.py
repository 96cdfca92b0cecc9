"""Bits turned in the table of contents of the weights file."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import members, plain, zipped

ATTACK = Attack("break HDF5's parser by turned bits", "model_unreadable", LIBRARY, ("model.weights.h5",))

PLACES = range(24, 200)
"""Bytes of the superblock and of what follows it, behind the magic number."""


def make(canaries: Canaries) -> Upload:
    parts = members(plain())
    content = bytearray(parts["model.weights.h5"])
    for place in PLACES:
        content[place] ^= 0x55
    return Upload(zipped({**parts, "model.weights.h5": bytes(content)}.items()))

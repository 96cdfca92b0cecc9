"""Members that are marked as encrypted."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import plain

ATTACK = Attack("hide the content behind a password", "model_unsafe", LIBRARY, ("encrypted", "without a password"))

LOCAL, CENTRAL = (b"PK\x03\x04", 6), (b"PK\x01\x02", 8)
"""How the two records of a member begin, and where in them its flags stand."""


def make(canaries: Canaries) -> Upload:
    content = bytearray(plain())
    for magic, flags in (LOCAL, CENTRAL):
        at = content.find(magic)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(magic, at + 4)
    return Upload(bytes(content))

"""A member that says it unpacks to twice of what it stores, unpacked."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import plain

ATTACK = Attack("lie about a member's size", "model_unsafe", NOTHING, ("two different sizes",))

SIZE_AT = 24
"""Where the unpacked size stands in a member's entry of the directory."""


def make(canaries: Canaries) -> Upload:
    content = bytearray(plain())
    entry = content.rfind(b"PK\x01\x02") + SIZE_AT
    content[entry : entry + 4] = (2 * int.from_bytes(content[entry : entry + 4], "little")).to_bytes(4, "little")
    return Upload(bytes(content))

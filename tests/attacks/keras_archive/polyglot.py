"""A picture with a model behind it: each reader sees what it looks for."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import plain

ATTACK = Attack("be an image to one reader and a model to another", "model_unreadable", NOTHING, ("an image",))


def make(canaries: Canaries) -> Upload:
    return Upload(b"\x89PNG\r\n\x1a\n" + bytes(100) + plain())

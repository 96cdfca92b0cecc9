"""A member with an absolute name."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import with_members

ATTACK = Attack("write outside through an absolute name", "model_unsafe", NOTHING, ("outside",))


def make(canaries: Canaries) -> Upload:
    return Upload(with_members((str(canaries.planted), b"sung")))

"""A member that would be unpacked outside of the archive."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import with_members

ATTACK = Attack("write outside through a member's name", "model_unsafe", NOTHING, ("outside",))


def make(canaries: Canaries) -> Upload:
    return Upload(with_members(("assets/" + "../" * 12 + str(canaries.planted).lstrip("/"), b"sung")))

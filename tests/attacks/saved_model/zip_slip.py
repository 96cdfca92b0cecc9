"""A member that would be unpacked outside of the folder."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import archive_of, calling, members, zipped

ATTACK = Attack("write outside through a member's name", "model_unsafe", NOTHING, ("outside",), "saved_model")


def make(canaries: Canaries) -> Upload:
    good = members(archive_of(calling(lambda x: x)))
    return Upload(zipped([*good.items(), ("../" * 20 + str(canaries.planted).lstrip("/"), b"sung")]), "model.zip")

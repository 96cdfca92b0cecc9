"""A layer's name that leads its assets out of the archive's folder."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack("read assets from outside through a layer's name", "model_unsafe", LIBRARY, ("name",))


def make(canaries: Canaries) -> Upload:
    name = "../" * 12 + str(canaries.folder).lstrip("/")
    return Upload(with_layer("StringLookup", {"name": name, "dtype": "string"}, of="string"))

"""Variables that unpack to a thousand times of what is stored."""

from __future__ import annotations

import zipfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import OUTPUT, Attack, Upload
from tests.attacks.making import archive_of, calling, members, zipped

ATTACK = Attack("fill the disk by unpacking", "model_unsafe", OUTPUT, ("declares 96 MiB",), "saved_model")


def make(canaries: Canaries) -> Upload:
    good = members(archive_of(calling(lambda x: x)))
    zeros = ("variables/more", bytes(96 << 20))
    return Upload(zipped([*good.items(), zeros], zipfile.ZIP_DEFLATED), "model.zip")

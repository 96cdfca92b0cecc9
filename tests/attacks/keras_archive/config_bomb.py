"""A configuration that is a few kilobytes in the file and tens of megabytes of JSON outside of it."""

from __future__ import annotations

import zipfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import members, plain, zipped

ATTACK = Attack("unpack to a configuration of 48 MiB", "model_unsafe", NOTHING, ("config.json", "declares 48 MiB"))


def make(canaries: Canaries) -> Upload:
    parts = members(plain())
    return Upload(zipped({**parts, "config.json": parts["config.json"].ljust(48 << 20)}.items(), zipfile.ZIP_DEFLATED))

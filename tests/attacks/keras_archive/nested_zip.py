"""An archive in an archive, for readers that unpack until they find a model."""

from __future__ import annotations

import zipfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import plain, zipped

ATTACK = Attack("be unpacked twice", "unsupported_model_format", LIBRARY, ("'model.keras'", "send that file itself"))


def make(canaries: Canaries) -> Upload:
    return Upload(zipped([("model.keras", plain())], zipfile.ZIP_DEFLATED))

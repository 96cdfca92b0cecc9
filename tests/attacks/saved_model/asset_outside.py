"""An asset whose name leads out of the folder of assets."""

from __future__ import annotations

import os

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import archive_of, with_asset
from tests.attacks.saved_model.reads_when_loaded import Table

ATTACK = Attack("read an asset from outside", "model_unsafe", FILES, ("asset",), "saved_model")


def make(canaries: Canaries) -> Upload:
    climbing = "../" * 20 + os.fspath(canaries.text).lstrip("/")
    return Upload(with_asset(archive_of(Table(str(canaries.text))), climbing), "model.zip")

"""The same in a tar, whose readers of old obey."""

from __future__ import annotations

import tarfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import tarred

ATTACK = Attack("write outside through a tar's name", "model_unsafe", FILES, ("outside",), "saved_model", breaches=True)


def make(canaries: Canaries) -> Upload:
    name = "../" * 20 + str(canaries.planted).lstrip("/")
    return Upload(tarred((tarfile.TarInfo(name), b"sung"), (tarfile.TarInfo("saved_model.pb"), b"")), "model.tar")

"""A member that is the machine's first disk."""

from __future__ import annotations

import tarfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import CALLS, Attack, Upload
from tests.attacks.making import tarred

ATTACK = Attack("have a device made", "model_unsafe", CALLS, ("device",), "saved_model")


def make(canaries: Canaries) -> Upload:
    device = tarfile.TarInfo("assets/disk")
    device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0
    return Upload(tarred((device, b""), (tarfile.TarInfo("saved_model.pb"), b"")), "model.tar")

"""A member that is another name for a file of the machine."""

from __future__ import annotations

import tarfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import tarred

ATTACK = Attack("take in a file as a hard link", "model_unsafe", FILES, ("link",), "saved_model")


def make(canaries: Canaries) -> Upload:
    link = tarfile.TarInfo("assets/words.txt")
    link.type, link.linkname = tarfile.LNKTYPE, str(canaries.text)
    return Upload(tarred((link, b""), (tarfile.TarInfo("saved_model.pb"), b"")), "model.tar")

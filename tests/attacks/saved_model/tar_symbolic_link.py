"""A member that is a link to a file of the machine."""

from __future__ import annotations

import tarfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import tarred

ATTACK = Attack("take in a file as a symbolic link", "model_unsafe", LIBRARY, ("link",), "saved_model")


def make(canaries: Canaries) -> Upload:
    link = tarfile.TarInfo("assets/words.txt")
    link.type, link.linkname = tarfile.SYMTYPE, str(canaries.text)
    return Upload(tarred((link, b""), (tarfile.TarInfo("saved_model.pb"), b"")), "model.tar")

"""A member that is a symbolic link to a file of the machine."""

from __future__ import annotations

import zipfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import with_members

ATTACK = Attack("lead to a file through a symbolic link", "model_unsafe", NOTHING, ("link",))


def make(canaries: Canaries) -> Upload:
    link = zipfile.ZipInfo("assets/words/vocabulary.txt")
    link.external_attr = 0o120777 << 16
    return Upload(with_members((link, str(canaries.text).encode())))

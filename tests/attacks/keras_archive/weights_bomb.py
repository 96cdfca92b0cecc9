"""Weights of nothing but zeros, which compress a thousandfold."""

from __future__ import annotations

import zipfile

from tests.attacks.canaries import Canaries
from tests.attacks.kit import OUTPUT, Attack, Upload
from tests.attacks.making import with_members

ATTACK = Attack("unpack to 96 MiB of zeros", "model_unsafe", OUTPUT, ("declares 96 MiB",))


def make(canaries: Canaries) -> Upload:
    return Upload(with_members(("assets/zeros", bytes(96 << 20)), compression=zipfile.ZIP_DEFLATED))

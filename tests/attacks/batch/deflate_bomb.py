"""An array of zeros that unpacks to a thousand times of what is stored."""

from __future__ import annotations

import zipfile

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import content_of, zipped

ATTACK = Attack("unpack to 80 MB of zeros", "batch_unreadable", NOTHING, ("stored in the file",), "batch")


def make(canaries: Canaries) -> Upload:
    zeros = content_of(lambda path: np.save(path, np.zeros((5_000_000, 4), "float32")), "x.npy")
    return Upload(batch=zipped([("x.npy", zeros)], zipfile.ZIP_DEFLATED))

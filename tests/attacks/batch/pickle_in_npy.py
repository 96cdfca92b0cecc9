"""The same in a single array."""

from __future__ import annotations

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import Pickled, content_of

ATTACK = Attack("run code by being unpickled from .npy", "batch_unreadable", FILES, ("pickle",), "batch", breaches=True)


def make(canaries: Canaries) -> Upload:
    array = np.array([Pickled(canaries)] * 2, dtype=object)
    return Upload(batch=content_of(lambda path: np.save(path, array), "b.npy"), batch_name="batch.npy")

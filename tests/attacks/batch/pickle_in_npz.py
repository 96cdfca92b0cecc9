"""Objects in an array, which NumPy keeps as a pickle."""

from __future__ import annotations

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import Pickled, batch

ATTACK = Attack("run code by being unpickled from .npz", "batch_unreadable", FILES, ("pickle",), "batch", breaches=True)


def make(canaries: Canaries) -> Upload:
    return Upload(batch=batch(x=np.array([Pickled(canaries)] * 2, dtype=object)))

"""A batch without samples: Keras fails with an error of its own inside."""

from __future__ import annotations

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import batch

ATTACK = Attack("divide by no samples", "batch_too_small", NOTHING, ("no samples",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=batch(x=np.ones((0, 4), "float32")))

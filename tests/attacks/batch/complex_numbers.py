"""Complex numbers, which Keras silently cuts to their real part."""

from __future__ import annotations

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import batch

ATTACK = Attack("pass complex numbers for real ones", "batch_mismatch", NOTHING, ("complex",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=batch(x=np.ones((8, 4), "complex64")))

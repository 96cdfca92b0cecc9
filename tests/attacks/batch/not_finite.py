"""Values that are no numbers, for arithmetic that spreads them."""

from __future__ import annotations

import numpy as np

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import batch

ATTACK = Attack("spoil the report by NaN and infinity", "batch_mismatch", NOTHING, ("NaN",), "batch")


def make(canaries: Canaries) -> Upload:
    x = np.ones((8, 4), "float32")
    x[0, 0], x[1, 1] = np.nan, np.inf
    return Upload(batch=batch(x=x))

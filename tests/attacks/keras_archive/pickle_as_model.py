"""A pickle under the name of a model."""

from __future__ import annotations

import pickle

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload

ATTACK = Attack("be unpickled", "model_unreadable", LIBRARY, ("pickle",))


def make(canaries: Canaries) -> Upload:
    return Upload(pickle.dumps({"weights": [1.0] * 100}))

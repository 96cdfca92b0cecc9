"""A name of megabytes, which Keras repeats in every variable and scope."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import edited, first_layer

ATTACK = Attack("take memory by a layer's name of 1 MiB", "model_unsafe", NOTHING, ("name", "is longer than"))


def make(canaries: Canaries) -> Upload:
    return Upload(edited(lambda config: first_layer(config)["config"].update(name="n" * (1 << 20))))

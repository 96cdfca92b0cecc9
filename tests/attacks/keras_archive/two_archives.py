"""Two archives one behind the other: readers that begin at the front and at the end see different models."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import edited, first_layer, plain

ATTACK = Attack("show different models to different readers", "model_unsafe", NOTHING, ("before",))


def make(canaries: Canaries) -> Upload:
    return Upload(edited(lambda config: first_layer(config)["config"].update(name="other")) + plain())

"""A class of Keras registered under another name, in the hope that the name is looked up first."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import edited, first_layer

ATTACK = Attack("shadow Dense by a registered name", "model_needs_custom_code", LIBRARY, ("`evil>Dense`",))


def make(canaries: Canaries) -> Upload:
    return Upload(edited(lambda config: first_layer(config).update(registered_name="evil>Dense")))

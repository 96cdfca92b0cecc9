"""A size that no integer of the machine holds."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import edited, first_layer

ATTACK = Attack("overflow by 2**70 units", "model_unsafe", LIBRARY, ("`dense`", "units="))


def make(canaries: Canaries) -> Upload:
    return Upload(edited(lambda config: first_layer(config)["config"].update(units=1 << 70)))

"""A layer of terabytes in a configuration of bytes."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import edited, first_layer

ATTACK = Attack("have 32 GB of weights made", "out_of_memory", MEMORY, ("`dense`", "32 GB", "1 GB"), slow_inside=True)


def make(canaries: Canaries) -> Upload:
    return Upload(edited(lambda config: first_layer(config)["config"].update(units=2_000_000_000)))

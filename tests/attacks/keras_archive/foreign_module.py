"""A class from a module that is not Keras'."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import edited, first_layer

ATTACK = Attack("have `subprocess.Popen` built as a layer", "model_needs_custom_code", LIBRARY, ("`Popen`",))


def make(canaries: Canaries) -> Upload:
    settings = {"args": ["touch", str(canaries.planted)], "name": "sneak"}
    told = {"module": "subprocess", "class_name": "Popen", "config": settings, "registered_name": "Popen"}
    return Upload(edited(lambda config: first_layer(config).update(told)))

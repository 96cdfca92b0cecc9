"""Python's own `eval`, named where a layer names its activation."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack("have `eval` looked up as an activation", "model_needs_custom_code", LIBRARY, ("`eval`", "`sneak`"))


def make(canaries: Canaries) -> Upload:
    activation = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"}
    return Upload(with_layer("Dense", {"units": 3, "activation": activation}))

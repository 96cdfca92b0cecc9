"""Two configurations under one name: readers differ in which of them counts (CVE-2025-1550 and its kin)."""

from __future__ import annotations

import warnings

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import PLANTS, function, members, model_of, plain, saved, zipped

ATTACK = Attack("hide a Lambda behind a second config.json", "model_unsafe", FILES, ("two members",), breaches=True)


def make(canaries: Canaries) -> Upload:
    hostile = members(saved(model_of(keras.layers.Lambda(function(PLANTS, canaries), output_shape=(4,)))))
    parts = [("config.json", members(plain())["config.json"]), *hostile.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Upload(zipped(parts))

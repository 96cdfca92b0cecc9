"""A recurrent layer over a hundred thousand steps: little memory, hours of processor time."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import TIME, Attack, Upload
from tests.attacks.making import model_of, saved

ATTACK = Attack("compute for hours", "deadline_exceeded", TIME, ("processor time",))

STEPS = 100_000


def make(canaries: Canaries) -> Upload:
    layers = [
        keras.layers.Dense(1),
        keras.layers.RepeatVector(STEPS),
        keras.layers.SimpleRNN(1),
        keras.layers.BatchNormalization(),
    ]
    return Upload(saved(model_of(*layers)))

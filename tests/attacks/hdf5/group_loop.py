"""A group that holds the group that it stands in: a walk through it has no end."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import hdf5, plain

ATTACK = Attack("have groups walked for ever", "model_unsafe", NOTHING, ("two ways",))


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        file["model_weights/dense/again"] = file["model_weights"]

    return Upload(hdf5(plain("h5"), change), "model.h5")

"""A link that leads to itself."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import hdf5, plain

ATTACK = Attack("have a link followed for ever", "model_unsafe", LIBRARY, ("link",))


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/net/dense/bias"]
        file["model_weights/dense/net/dense/bias"] = h5py.SoftLink("/model_weights/dense/net/dense/bias")

    return Upload(hdf5(plain("h5"), change), "model.h5")

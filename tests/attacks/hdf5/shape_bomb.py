"""A weight of 4 TB, of which nothing is stored."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import hdf5, plain

ATTACK = Attack("have 4 TB read that are not in the file", "model_unsafe", LIBRARY, ("declares",))


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/net/dense/bias"]
        file.create_dataset("model_weights/dense/net/dense/bias", (1 << 40,), "float32", chunks=(1 << 20,))

    return Upload(hdf5(plain("h5"), change), "model.h5")

"""A weight whose data HDF5 keeps in a file of any kind."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import weights

ATTACK = Attack(
    "read any file as the data of a weight", "model_unsafe", FILES, ("kept in another file",), "tf_keras", breaches=True
)


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/net/dense/bias"]
        where = [(str(canaries.raw), 0, canaries.codes.nbytes)]
        file.create_dataset("model_weights/dense/net/dense/bias", canaries.codes.shape, "float32", external=where)

    return Upload(weights(change, "h5"), "model.h5")

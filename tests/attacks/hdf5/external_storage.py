"""A weight whose data HDF5 keeps in a file of any kind."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import BIAS_IN_KERAS_2, hdf5, plain_of_keras_2

ATTACK = Attack(
    "read any file as the data of a weight", "model_unsafe", FILES, ("kept in another file",), "hdf5", breaches=True
)


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file[BIAS_IN_KERAS_2]
        where = [(str(canaries.raw), 0, canaries.codes.nbytes)]
        file.create_dataset(BIAS_IN_KERAS_2, canaries.codes.shape, "float32", external=where)

    return Upload(hdf5(plain_of_keras_2(), change), "model.h5")

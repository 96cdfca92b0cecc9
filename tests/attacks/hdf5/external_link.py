"""A weight that is a link into another HDF5 file."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import BIAS_IN_KERAS_2, hdf5, plain_of_keras_2

ATTACK = Attack("read another HDF5 file through a link", "model_unsafe", FILES, ("link",), "hdf5", breaches=True)


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file[BIAS_IN_KERAS_2]
        file[BIAS_IN_KERAS_2] = h5py.ExternalLink(str(canaries.hdf5), "x")

    return Upload(hdf5(plain_of_keras_2(), change), "model.h5")

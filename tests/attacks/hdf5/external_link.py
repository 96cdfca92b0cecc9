"""A weight that is a link into another HDF5 file."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import weights

ATTACK = Attack("read another HDF5 file through a link", "model_unsafe", FILES, ("link",), "tf_keras", breaches=True)


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/net/dense/bias"]
        file["model_weights/dense/net/dense/bias"] = h5py.ExternalLink(str(canaries.hdf5), "x")

    return Upload(weights(change, "h5"), "model.h5")

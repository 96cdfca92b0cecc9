"""A weight that is put together from datasets of other files."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import BIAS_IN_KERAS_2, hdf5, plain_of_keras_2

ATTACK = Attack(
    "read another HDF5 file as a virtual dataset", "model_unsafe", FILES, ("kept in another file",), "hdf5",
    breaches=True,
)  # fmt: skip


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file[BIAS_IN_KERAS_2]
        layout = h5py.VirtualLayout(canaries.codes.shape, "float32")
        layout[:] = h5py.VirtualSource(str(canaries.hdf5), "x", canaries.codes.shape)
        file.create_virtual_dataset(BIAS_IN_KERAS_2, layout)

    return Upload(hdf5(plain_of_keras_2(), change), "model.h5")

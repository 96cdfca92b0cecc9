"""A configuration of 100 MiB in an attribute."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import hdf5, plain

ATTACK = Attack("have 34 MiB of configuration parsed", "model_unsafe", NOTHING, ("larger than 32 MiB",))


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        file.attrs["model_config"] = file.attrs["model_config"] + " " * (34 << 20)

    return Upload(hdf5(plain("h5"), change), "model.h5")

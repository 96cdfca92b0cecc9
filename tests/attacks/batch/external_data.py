"""Inputs that are read from another file by HDF5."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import content_of

ATTACK = Attack(
    "read any file as the data of a batch", "batch_unreadable", FILES, ("another file",), "batch", breaches=True
)


def make(canaries: Canaries) -> Upload:
    def write(path: object) -> None:
        with h5py.File(path, "w") as file:
            where = [(str(canaries.raw), 0, canaries.codes.nbytes)]
            file.create_dataset("x", (4, 4), "float32", external=where)

    return Upload(batch=content_of(write, "b.h5"), batch_name="batch.h5")

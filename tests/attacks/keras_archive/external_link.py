"""A weight that is a link into an HDF5 file of the machine (CVE-2026-1669)."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import weights

ATTACK = Attack("read another HDF5 file as a weight", "model_unsafe", LIBRARY, ("link",))


def make(canaries: Canaries) -> Upload:
    def change(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = h5py.ExternalLink(str(canaries.hdf5), "x")

    return Upload(weights(change))

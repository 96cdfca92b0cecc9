"""A text that claims to be 2 GB long in a file of kilobytes: HDF5 takes the memory and looks afterwards."""

from __future__ import annotations

import h5py

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import content_of, plain

ATTACK = Attack("have memory taken for a text of 2 GB", "model_unreadable", LIBRARY, ("claims to be longer",))


def make(canaries: Canaries) -> Upload:
    def write(path: object) -> None:
        path.write_bytes(plain("h5"))
        with h5py.File(path) as file:
            length = len(file.attrs["model_config"])
        content = bytearray(path.read_bytes())
        at = content.find(length.to_bytes(4, "little"), content.find(b"model_config\0"))
        content[at : at + 4] = (1 << 31).to_bytes(4, "little")
        path.write_bytes(content)

    return Upload(content_of(write, "m.h5"), "model.h5")

"""What an HDF5 file holds, each object opened once: opening them is most of what the pass over a large file costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np


@dataclass(eq=False, slots=True)
class Data:
    """A dataset: what it declares, and HDF5's handle on it. `chunk_values` is 0 where it is stored in one piece."""

    id: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_values: int = 0

    def values(self) -> Any:
        """All of its values, as an array of its shape and type. Look at both before."""
        found = np.empty(self.shape, self.dtype)
        if found.size:
            self.id.read(h5py.h5s.ALL, h5py.h5s.ALL, found)
        return found


@dataclass(eq=False, slots=True)
class Branch:
    """A group; `children` by name, in the order of the alphabet. Of kinds that hold no numbers nothing is kept."""

    id: Any
    children: dict[str, Branch | Data] = field(default_factory=dict)

    @property
    def attrs(self) -> h5py.AttributeManager:
        """Its attributes."""
        return h5py.Group(self.id).attrs

    def get(self, path: str) -> Branch | Data | None:
        """What stands at a path of names below it, None where there is nothing."""
        found: Branch | Data | None = self
        for name in path.split("/"):
            if name:
                found = found.children.get(name) if isinstance(found, Branch) else None
        return found

    def datasets(self) -> Iterator[tuple[str, Data]]:
        """All datasets below it by their paths, group after group, in the order of the alphabet."""
        waiting: list[tuple[str, Branch | Data]] = [("", self)]
        while waiting:
            path, item = waiting.pop()
            if isinstance(item, Data):
                yield path, item
            else:
                waiting += [(f"{path}/{name}" if path else name, x) for name, x in reversed(item.children.items())]

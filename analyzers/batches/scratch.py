"""Where the arrays of a large batch are unpacked to: files that are mapped, not held.

The memory of a diagnosis is a limit on what it holds for itself. A file that is mapped to be read does not count: the
kernel takes its pages away and reads them again as it likes. The same array in memory would.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np

from analyzers.batches.lazy import Array
from analyzers.batches.limits import IN_MEMORY_BYTES, mib
from analyzers.errors import OutOfMemory


class Scratch:
    """A folder for what is unpacked, and a count of what is held in memory instead. Without a folder all is held."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._left_bytes = IN_MEMORY_BYTES
        self._files = 0

    def holds(self, nbytes: int) -> bool:
        """Whether an array of this size is to be held in memory; all of them together stay below a limit."""
        if self._folder is None:
            return True
        if nbytes > self._left_bytes:
            return False
        self._left_bytes -= nbytes
        return True

    def file(self, nbytes: int) -> Path:
        """A new empty file with room for `nbytes`.

        Raises:
            OutOfMemory: this process may not write so much.
            OSError: the disk is full; better here than when a page is written that has no place.
        """
        assert self._folder is not None  # asked for only where `holds` said no
        most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if most != resource.RLIM_INFINITY and nbytes > most:
            raise OutOfMemory(
                f"The batch unpacks to {mib(nbytes)}, and a diagnosis may put aside {mib(most)} here. "
                "Send fewer samples."
            )
        self._files += 1
        path = self._folder / f"{self._files}.npy"
        with path.open("wb") as file:
            if nbytes:
                os.posix_fallocate(file.fileno(), 0, nbytes)
        return path

    def array(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """A new array in a file, to be filled once; what is written to it is the kernel's to keep."""
        path = self.file(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        made: Array = np.memmap(path, dtype=dtype, mode="r+", shape=shape)
        return made

"""Opening a batch file: which format it is, by name and content, and one kind of error for all that can go wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from analyzers.batches.hdf5 import read_hdf5
from analyzers.batches.json_file import read_json
from analyzers.batches.npy import read_npy, read_npz
from analyzers.batches.scratch import Scratch
from analyzers.batches.spec import RawBatch
from analyzers.batches.tables import read_csv, read_parquet
from analyzers.errors import AnalysisError, BatchUnreadable, OutOfMemory, UnsupportedBatchFormat

FORMATS = ".npz, .npy, .h5/.hdf5, .json, .csv or .parquet"
Reader = Callable[[Path, str | None, Scratch], RawBatch]
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

READERS: dict[str, Reader] = {
    ".npz": read_npz,
    ".npy": read_npy,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
}

MAGICS = (
    (b"\x93NUMPY", ".npy"),
    (b"PK\x03\x04", ".npz"),
    (b"PK\x05\x06", ".npz"),
    (b"\x89HDF\r\n\x1a\n", ".hdf5"),
    (b"PAR1", ".parquet"),
)
"""First bytes by which the binary formats are told. JSON and CSV have none: there the name decides."""

FOREIGN = (
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"<!doctype", "an HTML page, perhaps the error page of a download"),
    (b"<html", "an HTML page, perhaps the error page of a download"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull`"),
    (b"\x89png", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"gif8", "an image"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
)
"""First bytes, in lower case, of what is sent by mistake."""


def read_batch(path: Path, label_column: str | None = None, scratch: Path | None = None) -> RawBatch:
    """Read a batch file. `label_column` names the column of the labels in a CSV or Parquet file, or the array of them
    in the other formats (default `y`, if there is one).

    `scratch` is a folder in which large arrays are unpacked and mapped, to be kept as long as the batch is used;
    without one everything is read into memory.

    Raises:
        UnsupportedBatchFormat: the file is of no format that is read here.
        BatchUnreadable: it is damaged, too large, holds objects, or has no `x`, or no labels of that name.
        BatchMismatch: cells of a table are empty.
        OutOfMemory: it does not fit into memory, or unpacks to more than may be put aside.
        OSError: the disk is full.
    """
    reader = READERS[_suffix(path)]
    try:
        return reader(path, label_column, Scratch(scratch))
    except AnalysisError:
        raise
    except MemoryError as error:
        raise OutOfMemory("The batch does not fit into memory. Send fewer samples.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        # What parsers raise on broken files is not listed anywhere, and may name paths.
        raise BatchUnreadable(
            f"The batch cannot be read as {_suffix(path)}: the file is damaged or cut short. Write it again."
        ) from error


def _suffix(path: Path) -> str:
    """The suffix of the format that the file has: its content where that is plain, else its name."""
    with path.open("rb") as file:
        head = file.read(32)
    by_content = next((suffix for magic, suffix in MAGICS if head.startswith(magic)), None)
    by_name = path.suffix.lower() if path.suffix.lower() in READERS else None
    if by_content is not None:
        return by_content if by_name is not None or not path.suffix else _unsupported(path)
    foreign = next((what for magic, what in FOREIGN if head.lower().lstrip().startswith(magic)), None)
    if foreign is not None:
        raise UnsupportedBatchFormat(f"The batch looks like {foreign}. Send {FORMATS}.")
    if by_name is None:
        return _unsupported(path)
    if not head:
        raise BatchUnreadable("The batch file is empty.")
    if by_name not in (".json", ".csv"):
        raise BatchUnreadable(f"The batch is named {by_name} but its content is not of that format. Send {FORMATS}.")
    return by_name


def _unsupported(path: Path) -> str:
    suffix = path.suffix[:16] or "no suffix"
    raise UnsupportedBatchFormat(f"A batch with {suffix!r} in its name is not read. Send {FORMATS}.")

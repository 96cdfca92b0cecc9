"""Which kind of file a model is, by its first bytes and its name, and what it looks like where it is none."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects.looks import look
from analyzers.subjects.saved_model_archive import contents, is_checkpoint

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

EXPECTED = (
    "Send a .keras file or a full-model .h5 file, as `model.save()` writes them, or a SavedModel folder as .zip, .tar "
    "or .tar.gz."
)
SAVED_MODEL_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")


def kind_of(path: Path) -> str:
    """ "keras" for a `.keras` archive, "h5" for an HDF5 file, "saved_model" for an archive that may hold such a
    folder, or a checkpoint.

    Raises:
        UnsupportedModelFormat: anything else; the message says what it looks like.
        ModelUnreadable: an empty file, or an archive that is cut short.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise ModelUnreadable("The model file is empty.")
    if head.startswith(HDF5_MAGIC):
        return "h5"
    if head.startswith(ZIP_MAGICS):
        return _zip_kind(path)
    if _is_tar(path):
        return "saved_model"
    what = look(head)
    raise UnsupportedModelFormat(f"The model file looks like {what}{'' if what.endswith('?') else '.'} {EXPECTED}")


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelUnreadable(
            "The model file begins as a zip archive, as .keras files are, but its table of contents is damaged or cut "
            f"off: {path.stat().st_size:,} bytes came. Compare that with the original, and send it again."
        ) from error
    if any(name in ("config.json", "model.weights.h5") for name in names):
        return "keras"
    if any(name.rsplit("/", 1)[-1] in SAVED_MODEL_GRAPHS for name in names) or is_checkpoint(names):
        return "saved_model"
    raise UnsupportedModelFormat(_zip_look(names))


def _zip_look(names: list[str]) -> str:
    ends = [name.rsplit("/", 1)[-1] for name in names]
    if "data.pkl" in ends:
        return f"The model file is a PyTorch archive, not a Keras model. {EXPECTED}"
    if any(end.endswith(".npy") for end in ends):
        return f"The model file is a NumPy archive, perhaps the batch: were the two files swapped? {EXPECTED}"
    if "config.json" in ends:
        return "The archive holds the model in a folder, not at its top: zip its files, without the folder."
    inside = next((name for name in names if name.lower().endswith((".keras", ".h5", ".hdf5"))), None)
    if inside is not None:
        return f"The archive holds the file {inside.rsplit('/', 1)[-1][:80]!r}: send that file itself."
    return f"The archive holds no Keras model. {contents(names)} {EXPECTED}"


def _is_tar(path: Path) -> bool:
    try:
        with tarfile.open(path) as archive:
            return archive.next() is not None
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return False

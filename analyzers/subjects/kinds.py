"""Which kind of file a model is, by its first bytes and its name, and what it looks like where it is none."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects.saved_model_archive import contents, is_checkpoint

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

EXPECTED = (
    "Send a .keras file or a full-model .h5 file, as `model.save()` writes them, or a SavedModel folder as .zip, .tar "
    "or .tar.gz."
)
SAVED_MODEL_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")

LOOKS = (
    (b"\x80\x02", "a pickle, which can run code when it is opened"),
    (b"\x80\x03", "a pickle, which can run code when it is opened"),
    (b"\x80\x04", "a pickle, which can run code when it is opened"),
    (b"\x80\x05", "a pickle, which can run code when it is opened"),
    (b"<!doctype", "an HTML page, perhaps the error page of a download"),
    (b"<html", "an HTML page, perhaps the error page of a download"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull` first"),
    (b"\x89png", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"gif8", "an image"),
    (b"\x93numpy", "a NumPy array, perhaps the batch: were the two files swapped?"),
    (b"par1", "a Parquet table, perhaps the batch: were the two files swapped?"),
    (b"{", "JSON: an architecture without weights"),
    (b"gguf", "a GGUF model"),
)
"""First bytes, in lower case, of what is sent by mistake."""

TFLITE = (b"TFL3", 4)
ONNX_STARTS = (b"\x08\x03", b"\x08\x04", b"\x08\x05", b"\x08\x06", b"\x08\x07", b"\x08\x08", b"\x08\x09", b"\x08\x0a")
"""An ONNX file starts with its version as a protobuf field, 3 to 10 in use."""


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
    raise UnsupportedModelFormat(f"The model file looks like {_look(head)}. {EXPECTED}")


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelUnreadable("The model archive is damaged or cut short. Send it again.") from error
    if any(name in ("config.json", "model.weights.h5") for name in names):
        return "keras"
    if any(name.rsplit("/", 1)[-1] in SAVED_MODEL_GRAPHS for name in names) or is_checkpoint(names):
        return "saved_model"
    raise UnsupportedModelFormat(f"{_zip_look(names)} {EXPECTED}")


def _zip_look(names: list[str]) -> str:
    ends = [name.rsplit("/", 1)[-1] for name in names]
    if "data.pkl" in ends:
        return "The model file is a PyTorch archive, not a Keras model."
    if any(end.endswith(".npy") for end in ends):
        return "The model file is a NumPy archive, perhaps the batch: were the two files swapped?"
    if "config.json" in ends:
        return "The archive holds the model in a folder, not at its top: zip the files themselves."
    inside = next((name for name in names if name.lower().endswith((".keras", ".h5", ".hdf5"))), None)
    if inside is not None:
        return f"The archive holds the file {inside.rsplit('/', 1)[-1][:80]!r}: send that file itself."
    return f"The archive holds no Keras model. {contents(names)}"


def _look(head: bytes) -> str:
    start = head.lower().lstrip()
    found = next((what for magic, what in LOOKS if start.startswith(magic)), None)
    if found is not None:
        return found
    if head[TFLITE[1] : TFLITE[1] + 4] == TFLITE[0]:
        return "a TensorFlow Lite model"
    if head.startswith(ONNX_STARTS):
        return "an ONNX or TensorFlow graph"
    return "no model format that is known here"


def _is_tar(path: Path) -> bool:
    try:
        with tarfile.open(path) as archive:
            return archive.next() is not None
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return False

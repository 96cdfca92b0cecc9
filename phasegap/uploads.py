"""What is sent: a model and a batch, whatever form they come in, become two named files."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", ".h5"),
    (b"\x1f\x8b", ".tar.gz"),
    (b"\x93NUMPY", ".npy"),
    (b"PAR1", ".parquet"),
)
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
ZIP_MAGIC = b"PK"


@dataclass(frozen=True)
class Part:
    """One file to send: its name, whose ending tells the format, and where its bytes are."""

    name: str
    source: Path | bytes

    def open(self) -> IO[bytes]:
        """The bytes from the beginning; they are sent again where a request is repeated."""
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")


@contextmanager
def model_part(model: Any) -> Iterator[Part]:
    """A live model saved to a temporary file, a file, a SavedModel folder as an archive, or bytes."""
    if isinstance(model, bytes | bytearray | memoryview):
        content = bytes(model)
        yield Part(f"model{_ending(content, '.keras')}", content)
    elif isinstance(model, str | os.PathLike):
        path = Path(model)
        if path.is_dir():
            with tempfile.TemporaryDirectory(prefix="phasegap-") as folder:
                archive = shutil.make_archive(str(Path(folder) / (path.resolve().name or "model")), "zip", path)
                yield Part(Path(archive).name, Path(archive))
        else:
            yield Part(path.name, _existing(path))
    elif callable(getattr(model, "save", None)):
        with tempfile.TemporaryDirectory(prefix="phasegap-") as folder:
            saved = Path(folder) / f"{_file_stem(model)}.keras"
            model.save(saved)
            yield Part(saved.name, saved)
    else:
        raise TypeError(f"model: a Keras model, a path or bytes is wanted, not {type(model).__name__}")


@contextmanager
def batch_part(x: Any, y: Any = None, sample_weight: Any = None) -> Iterator[Part]:
    """Arrays written as `.npz`; or, where `x` is a path or bytes, a batch file as it is."""
    if isinstance(x, str | os.PathLike | bytes | bytearray | memoryview):
        if y is not None or sample_weight is not None:
            raise TypeError("x is a batch file, which holds its labels itself: leave out y and sample_weight")
        if isinstance(x, str | os.PathLike):
            yield Part(Path(x).name, _existing(Path(x)))
        else:
            yield Part(f"batch{_ending(bytes(x), '.npz')}", bytes(x))
        return
    arrays = {**named("x", x), **named("y", y), **named("sample_weight", sample_weight)}
    with tempfile.TemporaryDirectory(prefix="phasegap-") as folder:
        import numpy as np  # the caller's: whoever has arrays has it

        path = Path(folder) / "batch.npz"
        np.savez(path, **arrays)
        yield Part(path.name, path)


def named(name: str, values: Any) -> dict[str, Any]:
    """Arrays by the names that a batch file gives them: `x`, or `x_0`, `x_1`, or `x_<input name>` for several."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return {f"{name}_{key}": _array(value, f"{name}[{key!r}]") for key, value in values.items()}
    if isinstance(values, list | tuple) and values and all(hasattr(value, "shape") for value in values):
        if len(values) > 1 and all(getattr(value, "ndim", 1) == 0 for value in values):
            return {name: _array(values, name)}  # labels as a list of scalars
        return {f"{name}_{index}": _array(value, f"{name}[{index}]") for index, value in enumerate(values)}
    return {name: _array(values, name)}


def _array(values: Any, where: str) -> Any:
    import numpy as np

    if hasattr(values, "element_spec") or (hasattr(values, "__next__") and not hasattr(values, "__array__")):
        raise TypeError(
            f"{where}: an array is wanted, not a {type(values).__name__}. Take a sample of it, such as "
            "`x, y = next(iter(dataset.unbatch().batch(256)))`"
        )
    array = np.asarray(values)
    if array.dtype != object:
        return array
    if all(isinstance(value, str) for value in array.ravel()):
        return array.astype(str)  # texts: as objects they would have to be pickled
    raise TypeError(f"{where}: rows of different lengths or mixed kinds cannot be sent; pad them to one shape")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}")
    return path


def _file_stem(model: Any) -> str:
    """The model's own name as far as it fits a file's: the list of diagnoses shows it while the job runs."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in str(getattr(model, "name", "") or "model"))
    return kept[:80].strip(".") or "model"


def _ending(content: bytes, zipped: str) -> str:
    """The ending for bytes that came without a name, by how they begin."""
    for magic, ending in SIGNATURES:
        if content.startswith(magic):
            return ending
    if content.startswith(ZIP_MAGIC):
        return ".zip" if zipped == ".keras" and not _is_keras_archive(content) else zipped
    if content[TAR_MAGIC_AT : TAR_MAGIC_AT + len(TAR_MAGIC)] == TAR_MAGIC:
        return ".tar"
    return ".json" if content.lstrip()[:1] in (b"{", b"[") else zipped


def _is_keras_archive(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return "config.json" in archive.namelist()
    except zipfile.BadZipFile:
        return True  # the service says what is wrong with it


@contextmanager
def opened(model: Part, batch: Part) -> Iterator[dict[str, tuple[str, IO[bytes], str]]]:
    """Both files as a form takes them."""
    with ExitStack() as stack:
        parts = {"model": model, "batch": batch}
        yield {
            field: (part.name, stack.enter_context(part.open()), "application/octet-stream")
            for field, part in parts.items()
        }

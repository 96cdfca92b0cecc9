"""The front door of the static pass: what a file holds, found by h5py, zip and JSON before any model is built.

    outline = read_outline(path)

Nothing of a model is deserialized or run, and no weights are read but small vectors: less than 0.1 seconds for a file
of 100 MB. Whatever is wrong with a file is an error of `analyzers.errors` whose message says what was found in it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from analyzers.subjects.keras_archive import read_keras_archive
from analyzers.subjects.keras_errors import explained
from analyzers.subjects.kinds import kind_of
from analyzers.subjects.legacy_h5 import read_hdf5_model
from analyzers.subjects.outline_facts import Outline
from analyzers.subjects.saved_model_archive import is_checkpoint, is_small, root_of, unpack_members


def read_outline(path: Path) -> Outline:
    """The facts of the model file at `path`, without building anything.

    Raises:
        UnsupportedModelFormat: neither a Keras model of a format that is read here nor weights of one.
        ModelUnreadable: damaged, or a part of it is missing.
        ModelUnsafe: the file reaches outside itself or declares absurd sizes.
    """
    kind = kind_of(path)
    with explained("is damaged or cut short"):
        if kind == "keras":
            return read_keras_archive(path)
        if kind == "h5":
            return read_hdf5_model(path)
        return _of_archive(path)


def _of_archive(path: Path) -> Outline:
    """A SavedModel or a checkpoint. TensorFlow's part of the pass is loaded here, where it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        names = unpack_members(path, Path(folder), is_small)
        if is_checkpoint(names):
            from analyzers.subjects.outline_checkpoint import read_checkpoint

            return read_checkpoint(path, names)
        root = root_of(names)
        from analyzers.subjects.outline_saved_model import outline_saved_model

        return outline_saved_model(Path(folder) / root, {name.removeprefix(f"{root}/") for name in names})

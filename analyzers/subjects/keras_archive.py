"""`.keras` files: a zip of config.json, metadata.json and model.weights.h5. Read and checked without Keras."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from analyzers.errors import ModelUnreadable
from analyzers.subjects import outline_weights
from analyzers.subjects.archive import check_archive, read_member
from analyzers.subjects.facts import ModelFile, normalized_compile_config, text
from analyzers.subjects.hdf5_safety import check_hdf5
from analyzers.subjects.hdf5_tree import Branch
from analyzers.subjects.json_text import MAX_BYTES, parse_json
from analyzers.subjects.keras_errors import explained
from analyzers.subjects.outline_config import described
from analyzers.subjects.outline_facts import Outline
from analyzers.subjects.outline_models import of_config
from analyzers.subjects.outline_words import clause, telling
from analyzers.subjects.seekable import open_seekable
from analyzers.subjects.small_vectors import step_count

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"

SAVE = "Save it with `model.save('model.keras')`"


def read_keras_archive(path: Path) -> Outline:
    """The outline of a `.keras` file whose archive, configuration and weights file have been checked.

    Raises:
        ModelUnreadable: damaged, or a part is missing.
        ModelUnsafe: the archive or its HDF5 file reaches outside itself or unpacks to absurd sizes.
    """
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path.stat().st_size)
        names = set(archive.namelist())
        if CONFIG not in names:
            raise ModelUnreadable(f"The archive has no {CONFIG}: it is not a whole model. {_weights_found(archive)}")
        config = _json_object(archive, CONFIG)
        metadata = _json_object(archive, METADATA) if METADATA in names else {}
        outline = of_config("keras", config, text(metadata.get("keras_version")), None)
        with telling(outline):
            if WEIGHTS not in names:
                raise ModelUnreadable(
                    f"The archive has no {WEIGHTS}: an architecture without its weights. {SAVE}, which writes both."
                )
            return _with_weights(archive, outline, config)


def _with_weights(archive: zipfile.ZipFile, outline: Outline, config: dict[str, Any]) -> Outline:
    with _weights(archive) as weights:
        held = outline_weights.with_config(weights, described(config))
        steps = step_count(weights, outline_weights.ITERATIONS)
    file = ModelFile(
        format="keras",
        config=config,
        keras_version=outline.keras_version,
        compile_config=normalized_compile_config(config.get("compile_config")),
        optimizer_iterations=steps,
    )
    return outline.with_weights(held, file)


@contextmanager
def _weights(archive: zipfile.ZipFile) -> Iterator[Branch]:
    with (
        explained(f"is damaged: its {WEIGHTS} is no whole HDF5 file. Send it again"),
        open_seekable(archive, WEIGHTS) as member,
        h5py.File(member, "r") as file,
    ):
        yield check_hdf5(file)


def _weights_found(archive: zipfile.ZipFile) -> str:
    """What to say of weights that came without a configuration."""
    if WEIGHTS not in archive.namelist():
        return f"{SAVE}."
    with _weights(archive) as weights:
        found = clause(outline_weights.alone(weights, named=False))
    return f"It holds {found}. {SAVE}, or send {WEIGHTS} by itself for what its statistics tell."


def _json_object(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    return parse_json(read_member(archive, name, MAX_BYTES), name)

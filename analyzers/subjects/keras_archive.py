"""`.keras` files: a zip of config.json, metadata.json and model.weights.h5. Read and checked without Keras."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py

from analyzers.errors import ModelUnreadable
from analyzers.subjects.archive import check_archive, read_member
from analyzers.subjects.facts import ModelFile, normalized_compile_config, scalar_count, text
from analyzers.subjects.hdf5_safety import check_hdf5
from analyzers.subjects.json_text import MAX_BYTES, parse_json
from analyzers.subjects.seekable import open_seekable

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"

ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")
"""Where Keras 3 keeps the optimizer's step count: it is the first variable that every optimizer creates. An optimizer
that scales the loss for mixed precision leaves counting to the one inside of it."""


def read_keras_archive(path: Path) -> ModelFile:
    """Facts of a `.keras` file whose archive, configuration and weights file have been checked.

    Raises:
        ModelUnreadable: damaged, or a part is missing.
        ModelUnsafe: the archive or its HDF5 file reaches outside itself or unpacks to absurd sizes.
    """
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path.stat().st_size)
        names = set(archive.namelist())
        if CONFIG not in names or WEIGHTS not in names:
            missing = CONFIG if CONFIG not in names else WEIGHTS
            raise ModelUnreadable(
                f"The archive has no {missing}: it is not a whole model. Save it with `model.save()`."
            )
        config = _json_object(archive, CONFIG)
        metadata = _json_object(archive, METADATA) if METADATA in names else {}
        with open_seekable(archive, WEIGHTS) as member, h5py.File(member, "r") as weights:
            check_hdf5(weights)
            counts = (scalar_count(weights.get(place)) for place in ITERATIONS)
            iterations = next((count for count in counts if count is not None), None)
    return ModelFile(
        format="keras",
        config=config,
        keras_version=text(metadata.get("keras_version")),
        compile_config=normalized_compile_config(config.get("compile_config")),
        optimizer_iterations=iterations,
    )


def _json_object(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    return parse_json(read_member(archive, name, MAX_BYTES), name)

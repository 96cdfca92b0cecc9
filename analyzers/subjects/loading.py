"""A model file becomes a model: checked without running anything, then loaded by Keras in safe mode, never compiled."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from analyzers.errors import ModelUnreadable
from analyzers.subjects.config_safety import check_config
from analyzers.subjects.facts import ModelFile
from analyzers.subjects.keras_archive import read_keras_archive
from analyzers.subjects.keras_errors import explained
from analyzers.subjects.kinds import kind_of
from analyzers.subjects.legacy_h5 import read_legacy_h5

READERS = {"keras": read_keras_archive, "h5": read_legacy_h5}


@dataclass
class LoadedModel:
    """A loaded, uncompiled model and what its file says beside the weights.

    `compile_config` has the keys optimizer, loss, loss_weights, metrics and weighted_metrics, serialized as in the file;
    `optimizer_iterations` is the number of updates that the optimizer had made when the file was written.
    """

    model: keras.Model
    format: str
    keras_version: str | None
    compile_config: dict[str, Any] | None
    optimizer_iterations: int | None
    file_name: str


def load_model(path: Path) -> LoadedModel:
    """Load a `.keras` or full-model `.h5`/`.hdf5` file.

    Raises:
        UnsupportedModelFormat: no Keras model of these formats.
        ModelUnreadable: damaged, or this version of Keras cannot build it.
        ModelUnsafe: it holds code or reaches outside itself.
        ModelNeedsCustomCode: it uses classes that are not part of Keras.
    """
    facts = inspect(path)
    model = _load(path, facts.format)
    return LoadedModel(
        model=model,
        format=facts.format,
        keras_version=facts.keras_version,
        compile_config=facts.compile_config,
        optimizer_iterations=facts.optimizer_iterations,
        file_name=path.name,
    )


def inspect(path: Path) -> ModelFile:
    """The pass before loading: nothing of the model is run. Raises as `load_model` does."""
    kind = kind_of(path)
    with explained("is damaged or cut short"):
        facts = READERS[kind](path)
    check_config(facts.config)
    return facts


def _load(path: Path, kind: str) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        # Keras tells formats by the name's end and unpacks beside the file: give it a plain name in a folder of ours.
        link = Path(folder) / f"model.{kind}"
        link.symlink_to(path.resolve())
        with explained("cannot be built by this version of Keras"):
            model = keras.saving.load_model(link, compile=False, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ModelUnreadable("The file holds a Keras object that is not a model.")
    return model

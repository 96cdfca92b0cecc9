"""A model file becomes a model: checked without running anything, then loaded by Keras in safe mode, never compiled."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from analyzers.errors import ModelUnreadable
from analyzers.subjects.config_safety import check_compile_settings, check_config
from analyzers.subjects.facts import ModelFile
from analyzers.subjects.keras_archive import read_keras_archive
from analyzers.subjects.keras_errors import explained
from analyzers.subjects.kinds import kind_of
from analyzers.subjects.legacy_h5 import read_legacy_h5
from analyzers.subjects.saved_model import TracedModel, load_saved_model

READERS = {"keras": read_keras_archive, "h5": read_legacy_h5}


@dataclass
class LoadedModel:
    """A loaded, uncompiled model and what its file says beside the weights.

    `compile_config` has the keys optimizer, loss, loss_weights, metrics and weighted_metrics, serialized as in the
    file; `optimizer_iterations` is the number of updates that the optimizer had made when the file was written.
    """

    model: keras.Model | TracedModel
    format: str
    keras_version: str | None
    compile_config: dict[str, Any] | None
    optimizer_iterations: int | None
    file_name: str


def load_model(path: Path) -> LoadedModel:
    """Load a `.keras` or full-model `.h5`/`.hdf5` file, or an archive of a SavedModel folder.

    Raises:
        UnsupportedModelFormat: no Keras model of these formats.
        ModelUnreadable: damaged, or this version of Keras cannot build it.
        ModelUnsafe: it holds code or reaches outside itself.
        ModelNeedsCustomCode: it uses classes that are not part of Keras.
        NoPhaseInformation: a SavedModel of one phase without moving statistics.
    """
    model, facts = load_saved_model(path) if kind_of(path) == "saved_model" else _load_keras(path)
    return LoadedModel(
        model=model,
        format=facts.format,
        keras_version=facts.keras_version,
        compile_config=facts.compile_config,
        optimizer_iterations=facts.optimizer_iterations,
        file_name=path.name,
    )


def _load_keras(path: Path) -> tuple[keras.Model, ModelFile]:
    facts = inspect(path)
    return _load(path, facts), facts


def inspect(path: Path) -> ModelFile:
    """The pass before loading: nothing of the model is run. Raises as `load_model` does."""
    kind = kind_of(path)
    with explained("is damaged or cut short"):
        facts = READERS[kind](path)
        check_config(facts.config, _is_registered, _is_keras_layer)
        check_compile_settings(facts.compile_config)
    return facts


def _is_registered(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None


def _is_keras_layer(name: str) -> bool:
    return name == "Functional" or any(
        isinstance(getattr(part, name, None), type) for part in (keras.layers, keras.models)
    )


def _load(path: Path, facts: ModelFile) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        # Keras tells formats by the name's end and unpacks beside the file: give it a plain name in a folder of ours.
        plain = Path(folder) / f"model.{facts.format}"
        _put(path, plain)
        with explained(_cannot_build(facts.keras_version), quote=True):
            model = keras.saving.load_model(plain, compile=False, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ModelUnreadable("The file holds a Keras object that is not a model.")
    return model


def _put(path: Path, plain: Path) -> None:
    """Let `plain` be the file at `path`: by a link, or by a copy where this process may make no links."""
    try:
        plain.symlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, plain)


def _cannot_build(written_by: str | None) -> str:
    """What to say where Keras fails; an old version is the likeliest reason."""
    if written_by is None or written_by.startswith("3."):
        return f"cannot be built by Keras {keras.__version__}"
    return (
        f"was written by Keras {written_by} and cannot be built by Keras {keras.__version__}: build the model in Keras "
        "3, load the weights into it and save it as .keras"
    )

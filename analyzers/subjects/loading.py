"""A model file becomes a model: checked without running anything, then loaded in safe mode, never compiled.

What Keras 3 wrote is loaded by Keras 3, what Keras 2 wrote by the code of Keras 2; where that fails, by the other.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from analyzers.errors import ModelNeedsCustomCode, ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects import legacy_keras
from analyzers.subjects.config_safety import FUNCTION_PARTS, Vocabulary, check_compile_settings, check_config
from analyzers.subjects.drawing import without_drawing
from analyzers.subjects.facts import ModelFile
from analyzers.subjects.families import is_model
from analyzers.subjects.footprint import weighed
from analyzers.subjects.keras_errors import explained
from analyzers.subjects.outline import read_outline
from analyzers.subjects.outline_facts import Outline
from analyzers.subjects.outline_words import clause, telling
from analyzers.subjects.saved_model import load_saved_model
from analyzers.subjects.walking import remember_attributes


@dataclass(frozen=True)
class Family:
    """How one family of Keras makes a model of a checked file with a plain name, what it knows, and its own name."""

    load: Callable[[Path], Any]
    vocabulary: Vocabulary
    title: str


@dataclass
class LoadedModel:
    """A loaded, uncompiled model and what its file says beside the weights.

    `remark` says what differs if another version of Keras loads the file, where that is known.
    `compile_config` has the keys optimizer, loss, loss_weights, metrics and weighted_metrics, serialized as in the
    file; `optimizer_iterations` is the number of updates that the optimizer had made when the file was written.
    """

    model: Any
    format: str
    keras_version: str | None
    compile_config: dict[str, Any] | None
    optimizer_iterations: int | None
    file_name: str
    remark: str | None = None


def load_model(path: Path, outline: Outline | None = None, memory_bytes: int | None = None) -> LoadedModel:
    """Load a `.keras` or full-model `.h5`/`.hdf5` file, or an archive of a SavedModel folder.

    `outline` is what `read_outline` found in it, where that was asked before. `memory_bytes` is what the weights may
    take; by default, what the machine has.

    Raises:
        UnsupportedModelFormat: no Keras model of these formats.
        ModelUnreadable: damaged, or this version of Keras cannot build it.
        ModelUnsafe: it holds code or reaches outside itself.
        ModelNeedsCustomCode: it uses classes that are not part of Keras.
        NoPhaseInformation: a SavedModel of one phase without moving statistics.
        OutOfMemory: its weights would take more than that.
    """
    outline = outline or read_outline(path)
    with telling(outline):
        if outline.format == "saved_model":
            model, facts = load_saved_model(path)
        else:
            model, facts = _load_keras(path, outline, memory_bytes)
    return LoadedModel(
        model=model,
        format=facts.format,
        keras_version=facts.keras_version,
        compile_config=facts.compile_config,
        optimizer_iterations=facts.optimizer_iterations,
        file_name=path.name,
        remark=legacy_keras.remark(facts.config, model),
    )


def _load_keras(path: Path, outline: Outline, memory_bytes: int | None) -> tuple[Any, ModelFile]:
    facts = outline.file
    if facts is None:
        raise UnsupportedModelFormat(
            f"The file holds {clause(outline)}, without their model. Send the whole model: `model.save('model.keras')`."
        )
    first, second = ("tf_keras", "keras") if legacy_keras.is_by_keras_2(facts.keras_version) else ("keras", "tf_keras")
    try:
        return _load(path, facts, first, memory_bytes), facts
    except (ModelUnreadable, ModelNeedsCustomCode):
        if facts.keras_version is None or first == "tf_keras":
            with contextlib.suppress(ModelUnreadable, ModelNeedsCustomCode):
                return _load(path, facts, second, memory_bytes), facts
        raise


def _is_registered(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None


def _is_keras_layer(name: str) -> bool:
    return name == "Functional" or any(
        isinstance(getattr(part, name, None), type) for part in (keras.layers, keras.models)
    )


def _is_keras_function(name: str) -> bool:
    return any(hasattr(getattr(keras, part), name) for part in FUNCTION_PARTS)


FAMILIES = {
    "keras": Family(
        lambda plain: keras.saving.load_model(plain, compile=False, safe_mode=True),
        Vocabulary(_is_registered, _is_keras_layer, _is_keras_function),
        f"Keras {keras.__version__}",
    ),
    "tf_keras": Family(legacy_keras.load, legacy_keras.VOCABULARY, legacy_keras.NAME),
}


def _load(path: Path, facts: ModelFile, name: str, memory_bytes: int | None) -> Any:
    family = FAMILIES[name]
    with explained("is damaged or cut short"):
        check_config(facts.config, family.vocabulary)
        check_compile_settings(facts.compile_config)
    with tempfile.TemporaryDirectory() as folder:
        # Keras tells formats by the name's end and unpacks beside the file: give it a plain name in a folder of ours.
        plain = Path(folder) / f"model.{facts.format}"
        _put(path, plain)

        def build() -> Any:
            with weighed(memory_bytes):
                return family.load(plain)

        remember_attributes()
        with explained(_cannot_build(facts.keras_version, family), quote=True):
            model = without_drawing(build)
    if not is_model(model):
        raise ModelUnreadable("The file holds a Keras object that is not a model.")
    return model


def _put(path: Path, plain: Path) -> None:
    """Let `plain` be the file at `path`: by a link, or by a copy where this process may make no links."""
    try:
        plain.symlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, plain)


def _cannot_build(written_by: str | None, family: Family) -> str:
    """What to say where Keras fails; an old version is the likeliest reason."""
    if written_by is None or not legacy_keras.is_by_keras_2(written_by):
        return f"cannot be built by {family.title}"
    return (
        f"was written by Keras {written_by} and cannot be built by {family.title}: load it where it was written and "
        "save it as a SavedModel, or build the model in Keras 3, load the weights into it and save it as .keras"
    )

"""Which dataset of a model file holds which variable, found with public means and believed only where values agree.

`.keras`: the layers concerned are saved with the new values; what differs from the file is where they stand. Legacy
`.h5`: by the position of layer and weight, the order in which Keras reads such files, whichever version wrote them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from analyzers.subjects.keras_model import walk

Array = NDArray[Any]
Replacement = tuple[keras.Variable, Array]
Patch = dict[str, tuple[Array, Array]]
"""By dataset: the value that must stand there now, and the new one, both in the type of the file."""


@contextmanager
def replaced(replacements: Sequence[Replacement]) -> Iterator[None]:
    """The variables at their new values inside the block, and at their old ones after it, whatever happens."""
    old = [np.array(keras.ops.convert_to_numpy(variable)) for variable, _ in replacements]
    try:
        for variable, value in replacements:
            variable.assign(value)
        yield
    finally:
        for (variable, _), value in zip(replacements, old, strict=True):
            variable.assign(value)


def patch_for_archive(
    model: keras.Model, replacements: Sequence[Replacement], file: h5py.File, scratch: Path
) -> Patch | None:
    """What to change in `file`, the model.weights.h5 of a `.keras` file; None where a variable is not found in it.

    `scratch` is a folder for the layers' weights with the new values.
    """
    with _saving_only(model, [variable for variable, _ in replacements]), replaced(replacements):
        model.save_weights(scratch / "after.weights.h5")
    patch: Patch = {}
    with h5py.File(scratch / "after.weights.h5", "r") as new:
        for path in dataset_paths(new):
            was, becomes = file.get(path), new[path][()]
            if not isinstance(was, h5py.Dataset) or was.shape != becomes.shape or was.dtype != becomes.dtype:
                return None
            _add(patch, path, was[()], becomes)
    meant = Counter(_bytes(*pair) for pair in _changing(replacements).values())
    return patch if Counter(_bytes(*pair) for pair in patch.values()) == meant else None


def _bytes(was: Array, becomes: Array) -> tuple[bytes, bytes]:
    return was.tobytes(), becomes.tobytes()


@contextmanager
def _saving_only(model: keras.Model, variables: Sequence[Any]) -> Iterator[None]:
    """Layers that hold none of `variables`, neither themselves nor in layers inside of them, save nothing: kilobytes
    instead of all weights.
    """
    wanted = {id(v) for v in variables}
    idle = [x for _, x in walk(model, model.name, set()) if not wanted & {id(v) for v in x.weights}]
    for layer in idle:
        object.__setattr__(layer, "save_own_variables", lambda store: None)
    try:
        yield
    finally:
        for layer in idle:
            object.__delattr__(layer, "save_own_variables")


def patch_for_legacy(model: keras.Model, replacements: Sequence[Replacement], file: h5py.File) -> Patch | None:
    """What to change in a legacy `.h5` file, None where a variable is not found in it.

    A variable under several layers (shared) stands in the file several times.
    """
    changing = _changing(replacements)
    placed: set[int] = set()
    patch: Patch = {}
    for variable, dataset in _legacy_places(model, file):
        if id(variable) in changing and dataset in file:
            was, becomes = changing[id(variable)]
            stored = file[dataset].dtype
            _add(patch, dataset, was.astype(stored), becomes.astype(stored))
            placed.add(id(variable))
    return patch if placed == set(changing) else None


def _changing(replacements: Sequence[Replacement]) -> dict[int, tuple[Array, Array]]:
    """By variable: its value now and the new one in the variable's own type, where they differ at all."""
    found: dict[int, tuple[Array, Array]] = {}
    for variable, value in replacements:
        was = np.array(keras.ops.convert_to_numpy(variable))
        becomes = np.asarray(value).astype(was.dtype)
        if was.tobytes() != becomes.tobytes():
            found[id(variable)] = (was, becomes)
    return found


def _add(patch: Patch, path: str, was: Array, becomes: Array) -> None:
    """Bytes are compared, so that NaN equals itself and 0.0 differs from -0.0."""
    if was.tobytes() != becomes.tobytes():
        patch[path] = (was, becomes)


def agrees(file: h5py.File, patch: Patch) -> bool:
    """Whether every dataset of the patch is there, with the value that the model was loaded with."""
    for path, (was, _) in patch.items():
        dataset = file.get(path)
        if not isinstance(dataset, h5py.Dataset) or dataset.shape != was.shape or dataset.dtype != was.dtype:
            return False
        if dataset[()].tobytes() != was.tobytes():
            return False
    return True


def dataset_paths(file: h5py.File) -> list[str]:
    """The paths of all datasets, sorted; h5py gives bytes where a name is no text."""
    found: list[Any] = []

    def visit(name: Any, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)

    file.visititems(visit)
    return sorted(found, key=lambda name: name if isinstance(name, bytes) else name.encode(errors="surrogateescape"))


def _legacy_places(model: keras.Model, file: h5py.File) -> Iterator[tuple[keras.Variable, str]]:
    """Every variable with the path of its dataset, in the order in which Keras pairs layers and groups."""
    root = file["model_weights"]
    groups = [name for name in _names(root, "layer_names") if _names(root[name], "weight_names")]
    layers = [layer for layer in model.layers if layer.weights]
    for layer, group in zip(layers, groups, strict=False):
        variables = layer.trainable_weights + layer.non_trainable_weights
        for variable, weight in zip(variables, _names(root[group], "weight_names"), strict=False):
            yield variable, f"model_weights/{group}/{weight}"


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which Keras splits over numbered attributes where it is too long for one."""
    parts = [group.attrs[attribute]] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{attribute}{len(parts)}"])
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]

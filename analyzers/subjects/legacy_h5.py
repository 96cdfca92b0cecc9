"""`.h5` files as Keras wrote them before `.keras`: the configuration in an attribute, the weights in groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects.facts import ModelFile, normalized_compile_config, scalar_count, text
from analyzers.subjects.hdf5_safety import check_hdf5
from analyzers.subjects.json_text import parse_json

ITERATION_NAMES = frozenset({"iter", "iter:0", "iteration", "iteration:0", "iterations", "iterations:0"})
"""Last parts of the names that Keras versions gave the optimizer's step count."""


def read_legacy_h5(path: Path) -> ModelFile:
    """Facts of a full-model `.h5` file whose links and datasets have been checked.

    Raises:
        UnsupportedModelFormat: the file holds weights only, or is no Keras file.
        ModelUnreadable: damaged.
        ModelUnsafe: the file reaches outside itself or declares absurd sizes.
    """
    with h5py.File(path, "r") as file:
        check_hdf5(file)
        if "model_config" not in file.attrs:
            raise UnsupportedModelFormat(_not_a_model(file))
        if not isinstance(file.get("model_weights"), h5py.Group):
            raise ModelUnreadable("The file has a configuration but no weights. Save the whole model: `model.save()`.")
        return ModelFile(
            format="h5",
            config=_attribute(file, "model_config"),
            keras_version=text(file.attrs.get("keras_version"))
            or text(file["model_weights"].attrs.get("keras_version")),
            compile_config=_compile_config(file),
            optimizer_iterations=_iterations(file),
        )


def _attribute(file: h5py.File, name: str) -> dict[str, Any]:
    value = file.attrs[name]
    if not isinstance(value, str | bytes):
        raise ModelUnreadable(f"The file's {name} is no text: it is damaged.")
    return parse_json(value, name)


def _compile_config(file: h5py.File) -> dict[str, Any] | None:
    if "training_config" not in file.attrs:
        return None
    return normalized_compile_config(_attribute(file, "training_config"))


def _iterations(file: h5py.File) -> int | None:
    group = file.get("optimizer_weights")
    if not isinstance(group, h5py.Group):
        return None
    found: list[int] = []

    def visit(name: str, item: Any) -> None:
        if name.rsplit("/", 1)[-1] in ITERATION_NAMES and (count := scalar_count(item)) is not None:
            found.append(count)

    group.visititems(visit)
    return max(found, default=None)  # a loss-scaling optimizer's own count stays at 0


def _not_a_model(file: h5py.File) -> str:
    weights_only = "layer_names" in file.attrs or "layers" in file or "_layer_checkpoint_dependencies" in file
    if weights_only:
        return "The file holds weights only, without their model. Send the whole model: `model.save('model.keras')`."
    return "The HDF5 file holds no Keras model. Send the whole model: `model.save('model.keras')`."

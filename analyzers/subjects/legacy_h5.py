"""`.h5` files: full models as Keras wrote them before `.keras`, and weights alone in either of Keras' layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects import outline_legacy, outline_weights
from analyzers.subjects.facts import ModelFile, normalized_compile_config, text
from analyzers.subjects.hdf5_heaps import check_heaps
from analyzers.subjects.hdf5_safety import attribute, check_hdf5
from analyzers.subjects.hdf5_tree import Branch
from analyzers.subjects.json_text import parse_json
from analyzers.subjects.outline_config import described
from analyzers.subjects.outline_facts import Outline
from analyzers.subjects.outline_models import of_config
from analyzers.subjects.outline_words import telling
from analyzers.subjects.small_vectors import scalar_count

ITERATION_NAMES = frozenset({"iter", "iter:0", "iteration", "iteration:0", "iterations", "iterations:0"})
"""Last parts of the names that Keras versions gave the optimizer's step count."""

SHOWN = 5
"""Names of a foreign file's contents in a message: enough to recognize it."""

BATCH_NAMES = frozenset({"x", "y", "x_0", "y_0", "sample_weight", "x_train", "x_test"})


def read_hdf5_model(path: Path) -> Outline:
    """The outline of an `.h5` file, full model or weights alone, whose links and datasets have been checked.

    Raises:
        UnsupportedModelFormat: the file is no Keras file.
        ModelUnreadable: damaged.
        ModelUnsafe: the file reaches outside itself or declares absurd sizes.
    """
    with path.open("rb") as stream:
        check_heaps(stream)
    with h5py.File(path, "r") as file:
        root = check_hdf5(file)
        if "model_config" in root.attrs:
            return _full_model(root)
        if "layer_names" in root.attrs or "layer_names0" in root.attrs:
            return outline_legacy.alone(root)
        if any(isinstance(root.get(place), Branch) for place in (*outline_weights.LISTS, "vars")):
            return outline_weights.alone(root)
        raise UnsupportedModelFormat(_not_a_model(root))


def _full_model(root: Branch) -> Outline:
    config = _json_attribute(root, "model_config")
    weights = root.get("model_weights")
    within = weights if isinstance(weights, Branch) else root
    version, backend = (text(attribute(root, k)) or text(attribute(within, k)) for k in ("keras_version", "backend"))
    outline = of_config("h5", config, version, backend)
    with telling(outline):
        if within is root:
            raise ModelUnreadable("The file has a configuration but no weights. Save the whole model: `model.save()`.")
        held = outline_legacy.with_config(within, described(config))
        settings = _json_attribute(root, "training_config") if "training_config" in root.attrs else None
        compiled = normalized_compile_config(settings)
        steps = _iterations(root)
    facts = ModelFile("h5", config, version, compiled, steps)
    return outline.with_weights(held, facts)


def _json_attribute(root: Branch, name: str) -> dict[str, Any]:
    value = attribute(root, name)
    if not isinstance(value, str | bytes):
        raise ModelUnreadable(f"The file's {name} is no text: it is damaged.")
    return parse_json(value, name)


def _iterations(root: Branch) -> int | None:
    slots = root.get("optimizer_weights")
    if not isinstance(slots, Branch):
        return None
    counted = [scalar_count(data) for path, data in slots.datasets() if path.rpartition("/")[2] in ITERATION_NAMES]
    # a loss-scaling optimizer's own count stays at 0
    return max((count for count in counted if count is not None), default=None)


def _not_a_model(root: Branch) -> str:
    held = sorted(root.children)
    shown = ", ".join(f"`{name[:60]}`" for name in held[:SHOWN]) + (
        f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    )
    what = f"it holds {shown}" if held else "it is empty"
    swapped = ", which look like a sample batch: were the two files swapped?" if BATCH_NAMES & set(held) else "."
    return f"The HDF5 file holds no Keras model: {what}{swapped} Send the whole model: `model.save('model.keras')`."

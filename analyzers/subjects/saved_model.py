"""A SavedModel without its Python code: loaded, its phases found, its layers named."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf

from analyzers.errors import NoPhaseInformation
from analyzers.subjects.facts import ModelFile
from analyzers.subjects.keras_errors import explained
from analyzers.subjects.saved_model_archive import unpack
from analyzers.subjects.saved_model_functions import Traced, phases
from analyzers.subjects.saved_model_graph import FlatGraph, flatten
from analyzers.subjects.saved_model_layers import Found, TracedVariable, find_layers, pair_of, read_objects
from analyzers.subjects.saved_model_metadata import Metadata, read_metadata
from analyzers.subjects.saved_model_safety import read_graph
from analyzers.subjects.saved_model_walk import loaded_variables, optimizer_steps

FORMAT = "saved_model"
UNNAMED = "saved_model"
ENDINGS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "BiasAdd": "linear", "MatMul": "linear"}
"""What a graph's last operation says of the activation at its end."""

EXPORT_BOTH = (
    "Export both phases: `archive = keras.export.ExportArchive(); archive.track(model); "
    "archive.add_endpoint('serve', lambda x: model(x, training=False), input_signature=[spec]); "
    "archive.add_endpoint('train', lambda x: model(x, training=True), input_signature=[spec]); "
    "archive.write_out(folder)`, or send the `.keras` file."
)
"""What to tell the owner of a SavedModel that cannot be run in the training phase."""


@dataclass(frozen=True)
class Port:
    """One input or output: what `specs` and the probes ask of a Keras tensor."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    _keras_history: Any = None


@dataclass
class TracedModel:
    """A loaded SavedModel. `layers` are in the file's order, `variables` by object number; `penalties` are functions
    that give the regularization losses.
    """

    name: str
    inference: Traced
    training: Traced | None
    layers: list[Found]
    variables: dict[int, TracedVariable]
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    penalties: list[Any] = field(default_factory=list)
    keep: Any = None

    @property
    def input_names(self) -> list[str]:
        return [p.name for p in self.inputs]

    @property
    def output_names(self) -> list[str]:
        return [p.name for p in self.outputs]


def load_saved_model(path: Path) -> tuple[TracedModel, ModelFile]:
    """Load an archive of a SavedModel folder, and what it says beside its functions.

    Raises:
        UnsupportedModelFormat: no SavedModel in the archive.
        ModelUnreadable: damaged, written by TensorFlow 1, or TensorFlow cannot load it.
        ModelUnsafe: the archive or the graph reaches outside of itself.
        ModelNeedsCustomCode: operations that are not TensorFlow's.
        NoPhaseInformation: it has one phase only, and no moving statistics.
    """
    with tempfile.TemporaryDirectory() as scratch, explained("cannot be loaded by TensorFlow", quote=True):
        root = unpack(path, Path(scratch))
        folder = Path(scratch) / root
        graph = read_graph(folder)
        metadata = read_metadata(folder)
        loaded = tf.saved_model.load(str(folder))
        model = _model(loaded, graph, metadata)
        facts = ModelFile(
            format=FORMAT,
            config={},
            keras_version=None,
            compile_config=metadata.compile_config if metadata else None,
            optimizer_iterations=optimizer_steps(folder),
        )
    return model, facts


def _model(loaded: Any, graph: Any, metadata: Metadata | None) -> TracedModel:
    inference, training = phases(loaded)
    if inference is None:
        raise NoPhaseInformation(f"The SavedModel has no function that takes arrays. {EXPORT_BOTH}")
    name = metadata.layers[0].name if metadata else UNNAMED
    objects = read_objects(graph)
    variables = loaded_variables(loaded, objects)
    handles = _captured(inference)
    layers = find_layers(objects, metadata, name, [n for n, v in variables.items() if id(v.handle) in handles])
    model = TracedModel(
        name=name,
        inference=inference,
        training=training,
        layers=layers,
        variables=_named(layers, variables),
        inputs=_inputs(inference.specs, loaded),
        outputs=_outputs(inference, loaded, metadata),
        penalties=[f for f in getattr(loaded, "regularization_losses", []) or [] if callable(f)],
        keep=loaded,
    )
    if training is None and not any(_reads(model, f) for f in layers if pair_of(f)):
        raise NoPhaseInformation(
            f"The SavedModel runs in one phase only and holds no moving statistics, so nothing can be compared. "
            f"{EXPORT_BOTH}"
        )
    return model


def _captured(traced: Traced) -> set[int]:
    """The handles of the variables that a function computes with."""
    return {id(h) for h in traced.concrete.captured_inputs}


def _reads(model: TracedModel, found: Found) -> bool:
    """Whether the model computes with a layer's moving statistics."""
    handles = _captured(model.inference)
    return all(n in model.variables and id(model.variables[n].handle) in handles for n in pair_of(found) or ())


def _named(layers: Sequence[Found], variables: dict[int, Any]) -> dict[int, TracedVariable]:
    result = {}
    for found in layers:
        for attribute, node in found.own.items():
            if node in variables:
                result[node] = TracedVariable(variables[node], attribute, f"{found.path}/{attribute}", node)
    return result


def _inputs(specs: Sequence[Any], loaded: Any) -> list[Port]:
    names = [(s.name or "").rpartition("/")[2] for s in specs]
    keys = _signature_names(loaded, "inputs")
    if len(specs) == 1 and len(keys) == 1:
        names = keys
    names = [n or (f"x_{i}" if len(specs) > 1 else "x") for i, n in enumerate(names)]
    return [Port(n, _shape(s.shape), s.dtype.name) for n, s in zip(names, specs, strict=True)]


def _outputs(traced: Traced, loaded: Any, metadata: Metadata | None) -> list[Port]:
    tensors = traced.concrete.outputs
    keys = _signature_names(loaded, "outputs")
    structure = traced.concrete.structured_outputs
    known = [str(x[0]) for x in _listed(metadata.layers[0].config.get("output_layers"))] if metadata else []
    if isinstance(structure, dict):
        names = sorted(structure)
    elif len(known) == len(tensors) == len(set(known)):
        names = known
    else:
        names = keys if len(keys) == len(tensors) == 1 else [f"output_{i}" for i in range(len(tensors))]
    flat = flatten(traced.concrete, traced.decided)
    ends = [_history(flat, t) for t in flat.results]
    return [Port(n, _shape(t.shape), t.dtype.name, e) for n, t, e in zip(names, tensors, ends, strict=True)]


def _listed(layers: Any) -> list[Any]:
    """Keras' `output_layers`, [name, node, tensor] each; a sole one may stand alone."""
    if not isinstance(layers, list) or not layers:
        return []
    return [layers] if isinstance(layers[0], str) else [x for x in layers if isinstance(x, list) and x]


def _signature_names(loaded: Any, which: str) -> list[str]:
    signature = getattr(loaded, "signatures", {}).get("serving_default")
    if signature is None:
        return []
    if which == "outputs":
        return sorted(signature.structured_outputs)
    return sorted(signature.structured_input_signature[1])


def _shape(shape: Any) -> tuple[int | None, ...]:
    return () if shape.rank is None else tuple(shape.as_list())


def _history(flat: FlatGraph, tensor: str) -> Any:
    """The activation that makes an output, as far as the graph's end tells, where Keras tensors keep their own."""
    name = ENDINGS.get(flat.producer(flat.source(tensor)).op)
    return None if name is None else SimpleNamespace(operation=keras.layers.Activation(name), tensor_index=0)

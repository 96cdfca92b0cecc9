"""The layers of a SavedModel as the analysis sees them: names and settings from metadata, values from variables.

Where metadata describe a layer of Keras, an instance of that class is made and never built or called: it carries the
settings, and its variables are those of the SavedModel. Where there are none, variables are grouped by their names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from analyzers.errors import AnalysisError
from analyzers.subjects.config_safety import Vocabulary, check_config
from analyzers.subjects.saved_model_metadata import Described, Metadata

MEANS = ("moving_mean", "running_mean", "moving_average_mean", "moving_avg_mean")
VARIANCES = ("moving_variance", "running_variance", "running_var", "moving_var", "moving_average_variance")
WITH_WEIGHTS = (
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "Dense", "EinsumDense", "Embedding", "LSTMCell",
    "GRUCell", "SimpleRNNCell", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
)  # fmt: skip
"""Classes that are made from their settings: none of them opens files or runs code of the model's."""

CONTAINERS = ("Functional", "Sequential", "Model")
LEFT_OUT = ("_regularizer", "_constraint", "dtype", "batch_input_shape", "groups")
"""Settings that say nothing about statistics or initial values, and that Keras 3 writes in another form."""

TYPICAL = {"kernel": "GlorotUniform", "bias": "Zeros", "gamma": "Ones", "beta": "Zeros", "embeddings": "RandomUniform"}
"""Keras' own initializers, for layers whose settings are not known."""

SEED_SHAPES = {("uint32", (2,)), ("int64", (2,)), ("int64", (3,))}
"""States of random generators, told by type and shape: Keras 3 keeps two numbers, `tf.random.Generator` three."""

PLACES_OF_LISTS = ("variables", "trainable_variables", "non_trainable_variables", "_all_variables", "keras_api")


class TracedVariable:
    """A variable of a loaded SavedModel, with the face of a Keras variable."""

    def __init__(self, value: Any, name: str, path: str, key: int) -> None:
        self.value, self.path, self.key = value, path, key
        self.name = "seed_generator_state" if self.is_seed else name

    @property
    def is_seed(self) -> bool:
        """Whether it is the state of a random generator, of Keras 3 or of TensorFlow."""
        return (self.value.dtype.name, self.shape) in SEED_SHAPES

    @property
    def handle(self) -> Any:
        return self.value.handle

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(s) for s in self.value.shape)

    @property
    def trainable(self) -> bool:
        return bool(self.value.trainable)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.array(self.value.numpy(), dtype=dtype)

    def assign(self, value: Any) -> None:
        self.value.assign(np.asarray(value))


class TracedLayer:
    """A layer of no class that is known here. Batch-normalizing ones have Keras' defaults where nothing is known."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.trainable = True
        self._trainable_variables: list[TracedVariable] = []
        for variable, initializer in TYPICAL.items():
            setattr(self, f"{variable}_initializer", getattr(keras.initializers, initializer)())


class BatchNormalization(TracedLayer):
    """A pair of moving variables with what uses them, of whatever class it was."""

    axis: int | list[int] = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    settings_known = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.moving_mean_initializer = keras.initializers.Zeros()
        self.moving_variance_initializer = keras.initializers.Ones()


class Container(keras.Model):  # type: ignore[misc]
    """Stands for a model inside of the SavedModel; never called."""


@dataclass(frozen=True)
class Found:
    """One layer: `path` from the outermost model inwards, `own` the object numbers of its variables by attribute,
    `described` whether metadata name it.
    """

    path: str
    layer: Any
    own: dict[str, int]
    class_name: str
    stateful: bool = False
    described: bool = False


@dataclass
class Objects:
    """The object graph of a SavedModel: for each object its children by name, the variables among them by number."""

    children: list[dict[str, int]]
    variables: dict[int, str]
    places: dict[int, str] = field(default_factory=dict)


def read_objects(graph: Any) -> Objects:
    """The object graph of a `MetaGraphDef`, each object with the shortest place where it is found."""
    nodes = graph.object_graph_def.nodes
    children = [{c.local_name: c.node_id for c in n.children if c.node_id < len(nodes)} for n in nodes]
    variables = {i: n.variable.name for i, n in enumerate(nodes) if n.HasField("variable")}
    places, waiting = {0: ""}, [0]
    for current in waiting:
        for name, child in children[current].items():
            if child not in places:
                places[child] = f"{places[current]}/{name}".lstrip("/")
                waiting.append(child)
    return Objects(children, variables, places)


def find_layers(objects: Objects, metadata: Metadata | None, name: str, used: Collection[int] = ()) -> list[Found]:
    """All layers with their own variables, in the order of the file. `used`: the variables, by object number, that the
    model computes with, whose layers keep their names where an export holds unused copies of them.
    """
    found = list(_described(objects, metadata)) if metadata is not None else [_root(name)]
    taken = {v for f in found for v in f.own.values()}
    found += [f for f in _by_parents(objects, taken) if not taken.intersection(f.own.values())]
    taken |= {v for f in found for v in f.own.values()}
    found += list(_by_names(objects, taken))
    return _unique(found, used)


def _root(name: str) -> Found:
    return Found(name, Container(name="model"), {}, "Model", described=True)


def _described(objects: Objects, metadata: Metadata) -> Iterator[Found]:
    for described in metadata.layers:
        path = metadata.path(described)
        own = _own(objects, described.node) if described.node < len(objects.children) else {}
        yield Found(path, _layer(described, own), own, described.class_name, described.stateful, True)


def _own(objects: Objects, node: int) -> dict[str, int]:
    return {name: child for name, child in objects.children[node].items() if child in objects.variables}


def _layer(described: Described, own: Mapping[str, int]) -> Any:
    """An instance with the layer's settings: of Keras' own class where that can be made, else of none."""
    if described.class_name in CONTAINERS:
        return Container(name="model")
    layer = _made(described)
    if layer is None:
        layer = BatchNormalization(described.name) if _pair(own) else TracedLayer(described.name)
    if described.class_name != type(layer).__name__:
        layer.__class__ = type(described.class_name, (type(layer),), {})
    layer.trainable = described.trainable
    return layer


STANDARD = Vocabulary(is_registered=lambda _: False, is_layer=lambda _: True, is_function=lambda _: True)
"""Settings of single layers of Keras, whose class is looked up before."""


def _made(described: Described) -> Any:
    if described.class_name not in WITH_WEIGHTS:
        return None
    config = {k: v for k, v in described.config.items() if not k.endswith(LEFT_OUT) and k != "name"}
    try:
        check_config({"class_name": described.class_name, "config": config}, STANDARD)
        return getattr(keras.layers, described.class_name).from_config(config)
    except (AnalysisError, ValueError, TypeError, KeyError, AttributeError):
        return None  # settings of another version: the graph has all that is needed to run


def _pair(own: Mapping[str, int]) -> tuple[int, int] | None:
    """The moving mean and variance among a layer's own variables."""
    mean = next((own[n] for n in MEANS if n in own), None)
    variance = next((own[n] for n in VARIANCES if n in own), None)
    return None if mean is None or variance is None else (mean, variance)


def pair_of(found: Found) -> tuple[int, int] | None:
    """The moving mean and variance of a layer, by object number; None where it has none."""
    return _pair(found.own)


def _by_parents(objects: Objects, taken: set[int]) -> Iterator[Found]:
    """Objects that hold a moving mean and variance under those names."""
    for node, place in objects.places.items():
        own = _own(objects, node)
        pair = _pair(own)
        if pair is not None and not taken.intersection(pair) and not place.endswith(PLACES_OF_LISTS):
            prefix = objects.variables[pair[0]].rpartition("/")[0]
            yield Found(prefix or place or "model", BatchNormalization(prefix or place), own, "BatchNormalization")


def _by_names(objects: Objects, taken: set[int]) -> Iterator[Found]:
    """Variables that are nobody's by attribute, put together by the names before their last "/".

    An export may keep several copies of a model's variables; the k-th of one name belongs to the k-th of the others.
    """
    groups: dict[tuple[str, int], dict[str, int]] = {}
    copies: dict[str, int] = {}
    for node, name in objects.variables.items():
        if node in taken or objects.places.get(node, "").startswith(("optimizer", "_optimizer")):
            continue
        prefix, _, attribute = name.partition(":")[0].rpartition("/")
        copy = copies[name] = copies.get(name, 0) + 1
        groups.setdefault((prefix, copy), {})[attribute] = node
    for (prefix, _), own in groups.items():
        path = prefix or next(iter(own))
        layer = BatchNormalization(path) if _pair(own) else TracedLayer(path)
        yield Found(path, layer, own, type(layer).__name__)


def _unique(found: Sequence[Found], used: Collection[int]) -> list[Found]:
    """The same, in order; of several with one path the first keeps it, one that is used before all others."""
    taken: dict[str, int] = {}
    result = list(found)
    for i in sorted(range(len(found)), key=lambda i: set(used).isdisjoint(found[i].own.values())):
        count = taken[found[i].path] = taken.get(found[i].path, 0) + 1
        if count > 1:
            result[i] = replace(found[i], path=f"{found[i].path}#{count}")
    return result

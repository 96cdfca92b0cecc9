"""A live Keras model as the pipeline sees it: inputs and outputs, phase-dependent layers, and all of its state.

A *site* is one phase-dependent layer: batch-normalizing, stochastic (dropout, noise) or augmentation. Sites are found
on layer instances, nested models and wrappers included, and named by their path from the outermost model inwards.
Models of Keras 2 (`tf_keras`) are read in the same way: what is asked of a layer here has the same name in both.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from analyzers.subjects.families import NORMALIZING, is_a, is_legacy, is_model, is_own, takes_training_flag
from analyzers.tensors import read, write

SiteKind = Literal["batch_normalizing", "stochastic", "augmentation"]

STOCHASTIC = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
)
PREPROCESSING = re.compile(r"(tf_)?keras\.src\.layers\.preprocessing\.image_preprocessing")


@dataclass(frozen=True)
class Site:
    """One phase-dependent layer. `path` is unique within the model."""

    path: str
    layer: Any
    kind: SiteKind


def children(layer: Any) -> list[Any]:
    """The layers directly inside a model, a wrapper or any layer that owns others."""
    if is_model(layer):
        return list(layer.layers)
    return list(layer._flatten_layers(include_self=False, recursive=False))


def walk(layer: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every layer below and including `layer` once, with its path; a shared layer keeps its first path."""
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield path, layer
    for child in children(layer):
        yield from walk(child, f"{path}/{child.name}", seen)


def kind_of(layer: Any) -> SiteKind | None:
    """What kind of phase-dependent layer this is, or None. Recurrent and attention layers count where they drop out."""
    if is_a(layer, *NORMALIZING):
        return "batch_normalizing"
    if is_a(layer, *STOCHASTIC):
        return "stochastic"
    if PREPROCESSING.match(type(layer).__module__):
        return "augmentation" if _draws(layer) else None
    rates = (getattr(layer, name, None) for name in ("dropout", "recurrent_dropout", "_dropout"))
    if takes_training_flag(layer) and any(isinstance(r, float) and r > 0 for r in rates):
        return "stochastic"
    return None


def _draws(layer: Any) -> bool:
    """Whether a preprocessing layer is random: it owns a generator, or is one of Keras 2, which tell by their names."""
    return isinstance(getattr(layer, "generator", None), keras.random.SeedGenerator) or type(layer).__name__.startswith(
        "Random"
    )


def is_seed(variable: Any) -> bool:
    """Whether a variable is the state of a random generator."""
    return bool(variable.name == "seed_generator_state")


class KerasSubject:
    """A model with its sites and its state; the only object through which passes are run.

    `structure` says how a model that does not tell takes its inputs: a dictionary or list with an entry for each.
    """

    def __init__(self, model: Any, structure: Any = None) -> None:
        self.model = model
        self.layers = [(p, x) for p, x in walk(model, model.name, set())]
        found = ((p, x, kind_of(x)) for p, x in self.layers)
        generators: list[Any] = [getattr(x, "_random_generator", None) for _, x in self.layers if is_legacy(x)]
        self._generators = [(g, g._seed) for g in generators if isinstance(getattr(g, "_seed", None), int)]
        self._draws_elsewhere = any(is_legacy(x) or not is_own(x) for _, x in self.layers)
        self.sites = _unique([Site(p, x, k) for p, x, k in found if k is not None])
        self.input_structure = getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", structure))

    @property
    def route(self) -> str:
        """The library that runs the model, with its version."""
        library = tf_keras if is_legacy(self.model) else keras
        return f"{library.__name__} {library.__version__}"

    def of_kind(self, kind: SiteKind) -> list[Site]:
        """The sites of one kind, in the order in which the model holds them."""
        return [s for s in self.sites if s.kind == kind]

    def forward(self, inputs: Sequence[NDArray[Any]], training: bool) -> list[Any]:
        """One pass, eager. `inputs` in the model's order, each (samples, ...). Returns the flattened output tensors."""
        packed: Any = list(inputs)
        if self.input_structure is not None:
            packed = keras.tree.pack_sequence_as(self.input_structure, packed)
        elif len(packed) == 1:
            packed = packed[0]
        outputs = self.model(packed, training=training)
        return list(keras.tree.flatten(outputs))

    def per_step(self, path: str) -> bool:
        """Whether the layer at `path` stands in a wrapper that calls it once for each step of a sequence."""
        wrappers = [p for p, layer in self.layers if is_a(layer, "TimeDistributed") and not is_legacy(layer)]
        return any(path.startswith(p + "/") for p in wrappers)

    @property
    def carried_states(self) -> list[str]:
        """Layers whose state goes on from one call to the next, in either phase."""
        return [p for p, layer in self.layers if getattr(layer, "stateful", False) is True]

    @property
    def fixed_batch(self) -> int | None:
        """The only batch size that the model accepts, where it is built for one (a stateful recurrent layer, say)."""
        for tensor in getattr(self.model, "inputs", None) or []:
            if tensor.shape and tensor.shape[0] is not None:
                return int(tensor.shape[0])
        return None

    @property
    def has_other_phase_layers(self) -> bool:
        """Whether a layer outside the known kinds takes the training flag: custom classes, spectral normalization."""
        known = {id(s.layer) for s in self.sites}
        for _, layer in self.layers:
            if id(layer) in known or not takes_training_flag(layer):
                continue
            if is_a(layer, "SpectralNormalization"):
                return True
            if not is_own(layer) and not is_model(layer):
                return True
        return False

    @property
    def parameters(self) -> int:
        return int(self.model.count_params())

    @property
    def variables(self) -> list[Any]:
        """Every variable, each once; the states of random generators and of recurrent layers too.

        Keras 2 also lists the vocabularies of lookup layers there, which are tables that no pass changes.
        """
        states = [v for _, layer in self.layers for v in keras.tree.flatten(getattr(layer, "states", None))]
        found = [v for v in [*self.model.variables, *states] if isinstance(v, keras.Variable | tf.Variable)]
        return list({id(v): v for v in found}.values())

    def set_seeds(self, seed: int) -> None:
        """Put every random generator that a layer may draw from into a state that follows from `seed` alone.

        Layers of Keras 2 and custom ones draw from TensorFlow's generator, the former with a count of their own where
        they were given a seed; AugMix and custom ones from Python's and NumPy's.
        """
        if self._draws_elsewhere:  # Empties TensorFlow's cache of kernels: a third of small passes.
            tf.random.set_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        for generator, first in self._generators:
            generator._seed = first
        for index, variable in enumerate(v for v in self.variables if is_seed(v)):
            write(variable, np.asarray([(seed * 9973 + index * 7919) % 2**32, 0], dtype=np.uint32))

    def penalty(self) -> float:
        """Sum of the regularization and added losses as they stand after the last pass."""
        losses = [float(np.asarray(keras.ops.convert_to_numpy(x), dtype=np.float64)) for x in self.model.losses]
        return float(np.sum(losses)) if losses else 0.0


class State:
    """All variables of a subject at one moment, for putting back and for proving that they are back."""

    def __init__(self, subject: Any) -> None:
        self.variables = subject.variables
        self.values = [read(v) for v in self.variables]

    def digest(self) -> str:
        """A hash over every variable's bytes as they are now."""
        return _hash(read(v) for v in self.variables)

    def recorded_digest(self) -> str:
        """The same hash over the values that were recorded."""
        return _hash(self.values)

    def changed(self) -> list[int]:
        """Indices of the variables whose bytes differ from the record."""
        return [i for i, v in enumerate(self.variables) if read(v).tobytes() != self.values[i].tobytes()]

    def restore(self, indices: Sequence[int] | None = None) -> None:
        """Put the recorded values back, all of them or those of `indices`."""
        for i in range(len(self.variables)) if indices is None else indices:
            write(self.variables[i], self.values[i])


def _hash(values: Iterable[NDArray[Any]]) -> str:
    h = hashlib.blake2b(digest_size=16)
    for value in values:
        h.update(np.ascontiguousarray(value).tobytes())
    return h.hexdigest()


def _unique(sites: list[Site]) -> list[Site]:
    taken: dict[str, int] = {}
    result = []
    for site in sites:
        count = taken[site.path] = taken.get(site.path, 0) + 1
        result.append(site if count == 1 else Site(f"{site.path}#{count}", site.layer, site.kind))
    return result

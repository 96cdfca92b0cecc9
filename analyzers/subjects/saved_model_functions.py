"""Which functions of a loaded SavedModel are its two phases.

A function that takes `training` was traced for each value of it; Keras 2 and modules of one's own save such. Where
there is none, two endpoints of an export, one of them named for training, are taken; else there is one phase only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

CALLABLES = ("__call__", "call")
INFERENCE_NAMES = ("serve", "serving_default", "inference", "predict", "call_inference")
TRAINING_NAMES = ("train", "training", "serve_training", "serve_train", "call_training", "training_phase")
FLAG = "training"


@dataclass(frozen=True)
class Traced:
    """One phase: a function of the loaded object, the concrete function that runs for these inputs, and how to call it.

    `arguments` are those of the call with a `TensorSpec` where an input goes; `decided` names the placeholder of the
    training flag, where the function takes it as a tensor, with its value.
    """

    function: Any
    concrete: Any
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    decided: dict[str, bool]

    @property
    def specs(self) -> list[Any]:
        """The inputs, in their order."""
        return [s for s in tf.nest.flatten(self.arguments) if isinstance(s, tf.TensorSpec)]

    @property
    def placeholders(self) -> list[str]:
        """The names of the inputs' placeholders, in the order of `specs`."""
        taken = len(self.concrete.inputs) - len(self.concrete.captured_inputs)
        return [n for t in self.concrete.inputs[:taken] if (n := t.op.name) not in self.decided]

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Run the saved function itself; returns its flattened outputs."""
        waiting = iter(inputs)
        leaves = [
            next(waiting) if isinstance(s, tf.TensorSpec) else s
            for s in tf.nest.flatten(self.arguments)
        ]  # fmt: skip
        args, kwargs = tf.nest.pack_sequence_as(self.arguments, leaves)
        return list(tf.nest.flatten(self.function(*args, **kwargs)))


def phases(loaded: Any) -> tuple[Traced | None, Traced | None]:
    """The inference and the training phase; None where there is none."""
    for name in CALLABLES:
        function = _attribute(loaded, name)
        if function is None:
            continue
        inference = _traced(function, False)
        training = _traced(function, True)
        if inference is not None and training is not None:
            pairs = [(a, b) for a in inference for b in training if _alike(a, b)]
            if pairs:
                return pairs[0]
    inference = _endpoint(loaded, INFERENCE_NAMES) or _only(loaded)
    training = _endpoint(loaded, TRAINING_NAMES)
    if inference and training and _alike(inference[0], training[0]):
        return inference[0], training[0]
    return (inference[0] if inference else None), None


def _attribute(loaded: Any, name: str) -> Any:
    """The function of that name, where the object has one that was traced."""
    if name == "__call__" and not callable(loaded):
        return None
    found = getattr(loaded, name, None)
    return found if getattr(found, "concrete_functions", None) else None


def _traced(function: Any, training: bool) -> list[Traced]:
    """The traces of a function for one value of its training flag, those for any batch size first."""
    found = [t for c in function.concrete_functions if (t := _for_flag(function, c, training)) is not None]
    return sorted(found, key=lambda t: t.specs[0].shape.rank is not None and t.specs[0].shape[0] is not None)


def _for_flag(function: Any, concrete: Any, training: bool) -> Traced | None:
    args, kwargs = concrete.structured_input_signature
    names = list(concrete.function_type.parameters)
    position = names.index(FLAG) if FLAG in names else -1
    given = kwargs.get(FLAG, args[position] if 0 <= position < len(args) else None)
    if isinstance(given, tf.TensorSpec) and given.dtype == tf.bool:
        flag = _flag_placeholder(concrete, given)
        if flag is None:
            return None
        replaced = tuple(training if i == position else a for i, a in enumerate(args))
        named = {k: training if k == FLAG else v for k, v in kwargs.items()}
        return _usable(Traced(function, concrete, (replaced, named), {flag: training}))
    if given is not training:
        return None
    return _usable(Traced(function, concrete, (args, kwargs), {}))


def _flag_placeholder(concrete: Any, spec: Any) -> str | None:
    taken = concrete.inputs[: len(concrete.inputs) - len(concrete.captured_inputs)]
    found = [t.op.name for t in taken if t.dtype == tf.bool and t.shape.rank == 0]
    return found[0] if len(found) == 1 else None


def _usable(traced: Traced) -> Traced | None:
    """Only what takes arrays alone: no masks, no sparse or ragged inputs."""
    leaves = [x for x in tf.nest.flatten(traced.arguments) if x is not None and not isinstance(x, bool | int | float)]
    plain = all(isinstance(x, tf.TensorSpec) for x in leaves)
    return traced if plain and leaves and len(leaves) == len(traced.placeholders) else None


def _alike(a: Traced, b: Traced) -> bool:
    """Whether two phases take the same inputs."""
    return [(s.shape.as_list() if s.shape.rank is not None else None, s.dtype) for s in a.specs] == [
        (s.shape.as_list() if s.shape.rank is not None else None, s.dtype) for s in b.specs
    ]


def _endpoint(loaded: Any, names: Sequence[str]) -> list[Traced]:
    found = []
    for name in names:
        function = _attribute(loaded, name)
        if function is not None:
            found += list(_plain_traces(function))
    for name in names:
        function = getattr(loaded, "signatures", {}).get(name)
        if function is not None:
            found += list(_plain_traces(function))
    return found


def _only(loaded: Any) -> list[Traced]:
    """What can be called at all, the model itself first."""
    functions = [f for n in CALLABLES if (f := _attribute(loaded, n)) is not None]
    functions += list(getattr(loaded, "signatures", {}).values())
    return [t for f in functions for t in (*_traced(f, False), *_plain_traces(f))]


def _plain_traces(function: Any) -> Iterator[Traced]:
    """The traces of a function that is called with nothing but inputs."""
    for concrete in getattr(function, "concrete_functions", [function]):
        usable = _usable(Traced(function, concrete, concrete.structured_input_signature, {}))
        if usable is not None:
            yield usable

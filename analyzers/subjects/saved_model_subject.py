"""A SavedModel as the pipeline sees it: the same face that a Keras model has, over traced functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from analyzers.subjects.keras_model import Site, SiteKind
from analyzers.subjects.saved_model import TracedModel
from analyzers.subjects.saved_model_layers import Found, TracedLayer, TracedVariable, pair_of
from analyzers.subjects.saved_model_phase import Pair, Phase
from analyzers.subjects.saved_model_rewriting import KEPT, Recipe

AUGMENTING = re.compile(r"(Random|Aug|Rand|Mix|Cut)\w*")
CALL = re.compile(r"(Stateful)?PartitionedCall(_\d+)?|inlined|done")
DRAWING = re.compile(
    r"(stateless_|stateful_)?(random|dropout|normal|uniform|truncated)\w*|Stateless\w+|Random\w+|TruncatedNormal"
)
"""Parts of the names of operations that say how something is drawn, not which layer draws."""

SLICES = ("StridedSlice", "Slice", "GatherV2", "Unpack")
SAME = 1e-5  # Relative difference of outputs that float32 leaves between two orders of the same sums.


class TracedSubject:
    """A SavedModel with its sites and its state; the counterpart of `KerasSubject`."""

    def __init__(self, model: TracedModel) -> None:
        self.model = model
        self.pairs = {f.path: p for f in model.layers if (p := self._pair(f)) is not None}
        handles = {p: (mean.value, variance.value) for p, (mean, variance) in self.pairs.items()}
        self.inference = Phase(model.inference, handles)
        self.training = Phase(model.training, handles) if model.training is not None else None
        self.layers = [(f.path, self._dressed(f)) for f in model.layers if f.described or self._used(f)]
        self.order = self._common_order()
        self.sites = [*self._normalizing(), *self._drawing()]
        self.last_inputs: Sequence[NDArray[Any]] | None = None
        self.seed, self.windows = 0, 0
        self._penalty: float | None = None
        self._other: bool | None = None

    def _pair(self, found: Found) -> tuple[TracedVariable, TracedVariable] | None:
        pair = pair_of(found)
        variables = self.model.variables
        if pair is None or pair[0] not in variables or pair[1] not in variables:
            return None
        mean, variance = variables[pair[0]], variables[pair[1]]
        return (mean, variance) if mean.shape == variance.shape and len(mean.shape) == 1 else None

    def _used(self, found: Found) -> bool:
        """Whether a phase computes with a layer's variables: not so those of optimizers and metrics."""
        handles = {id(h) for phase in self.phases for h in phase.captured.values()}
        own = [self.model.variables[n] for n in found.own.values() if n in self.model.variables]
        return any(id(v.handle) in handles and not v.is_seed for v in own)

    @property
    def route(self) -> str:
        """What runs the model, with its version."""
        return f"traced functions (TensorFlow {tf.__version__})"

    @property
    def phases(self) -> list[Phase]:
        """The phases that there are, inference first."""
        return [self.inference] if self.training is None else [self.inference, self.training]

    @property
    def one_phase(self) -> bool:
        """Whether only the inference phase is in the file."""
        return self.training is None

    @property
    def unclear(self) -> list[str]:
        """Layers with moving statistics whose use in the graph is not understood."""
        return sorted({p for phase in self.phases for p in phase.calls.unclear})

    def _common_order(self) -> list[str]:
        last = self.phases[-1].calls
        return [p for p in last.order if all(p in phase.calls.by_site for phase in self.phases)]

    def _dressed(self, found: Found) -> Any:
        """The layer with its variables, and with what only the graph tells."""
        layer = found.layer
        own = [self.model.variables[n] for n in found.own.values() if n in self.model.variables]
        object.__setattr__(layer, "_trainable_variables", [v for v in own if v.trainable])
        object.__setattr__(layer, "_non_trainable_variables", [v for v in own if not v.trainable])
        if found.path in self.pairs:
            mean, variance = self.pairs[found.path]
            calls = [c for phase in self.phases for c in phase.calls.by_site.get(found.path, [])]
            object.__setattr__(layer, "moving_mean", mean)
            object.__setattr__(layer, "moving_variance", variance)
            epsilon = next((c.epsilon for c in calls if c.epsilon is not None), None)
            if epsilon is not None and not abs(epsilon - getattr(layer, "epsilon", np.nan)) < SAME * epsilon:
                object.__setattr__(layer, "epsilon", float(f"{epsilon:.6g}"))
            if calls and not hasattr(layer, "get_config"):
                layer.axis = calls[0].axis
            if self.training is not None and found.path in self.training.calls.by_site:
                layer.trainable = self.training.uses_batch(found.path)
        return layer

    def _normalizing(self) -> list[Site]:
        layers = dict(self.layers)
        used = {p for phase in self.phases for p in phase.sites}
        known = [p for p in self.pairs if p in used and p not in self.unclear]
        return [Site(p, layers[p], "batch_normalizing") for p in known]

    def _drawing(self) -> list[Site]:
        """One site for each layer in which numbers are drawn, in any phase."""
        names = dict.fromkeys(n for phase in reversed(self.phases) for n in phase.random)
        found: dict[str, Any] = {}
        for name in names:
            path, layer = self._place(name)
            found.setdefault(path, layer)
        classes = {p: type(x).__name__ for p, x in found.items()}
        # A graph cannot switch one drawing layer without the others, so they count as one kind.
        kind: SiteKind = "augmentation" if all(AUGMENTING.fullmatch(c) for c in classes.values()) else "stochastic"
        return [Site(p, layer, kind) for p, layer in found.items()]

    def _place(self, name: str) -> tuple[str, Any]:
        """The layer that an operation belongs to, by the names in its own; without one the name's meaningful part."""
        steps = [s for s in name.split("/") if not CALL.fullmatch(s)]
        best = max(self.layers, key=lambda x: (_within(x[0].split("/"), steps), -len(x[0])), default=None)
        if best is not None and best[0] != self.model.name and _within(best[0].split("/"), steps) > 0:
            return best
        while len(steps) > 1 and DRAWING.fullmatch(steps[-1]):
            steps.pop()
        path = "/".join(steps)
        return path, TracedLayer(path)

    def draws(self, phase: Phase, path: str) -> bool:
        """Whether a drawing layer draws in this phase."""
        return any(self._place(n)[0] == path for n in phase.random)

    @property
    def training_draws(self) -> bool:
        """Whether the training phase draws numbers that the inference phase does not."""
        return self.training is not None and len(self.training.random) > len(self.inference.random)

    def of_kind(self, kind: SiteKind) -> list[Site]:
        """The sites of one kind, in the order in which the model holds them."""
        return [s for s in self.sites if s.kind == kind]

    def stored(self, path: str) -> Pair:
        """A site's moving statistics as they stand."""
        mean, variance = self.pairs[path]
        return np.array(mean), np.array(variance)

    def per_step(self, path: str) -> bool:
        """Whether a layer is called once for each step of a sequence: on slices of one tensor."""
        phase = self.phases[-1]
        sources = [phase.flat.producer(c.inputs) for c in phase.calls.by_site.get(path, [])]
        taken = {node.input[0].rpartition(":")[0] for node in sources if node.op in SLICES and node.input}
        return len(sources) > 1 and len(taken) == 1 and all(node.op in SLICES for node in sources)

    @property
    def carried_states(self) -> list[str]:
        """Layers whose state goes on from one call to the next in the inference phase."""
        written = {h for h in _written(self.inference) if h not in self._quiet}
        paths = [v.path.rpartition("/")[0] for v in self.variables if id(v.handle) in written]
        return list(dict.fromkeys(paths))

    @property
    def _quiet(self) -> set[int]:
        """Handles of variables whose changes are no state of a layer: moving statistics and seeds."""
        moving = {id(v.handle) for pair in self.pairs.values() for v in pair}
        return moving | {id(v.handle) for v in self.variables if v.is_seed}

    @property
    def fixed_batch(self) -> int | None:
        """The only batch size that was traced, where there is one."""
        sizes = [p.shape[0] for p in self.model.inputs if p.shape and p.shape[0] is not None]
        return int(sizes[0]) if sizes and sizes[0] is not None else None

    @property
    def has_other_phase_layers(self) -> bool:
        """Whether the phases differ although neither statistics nor draws do; known once a pass was run."""
        if self.training is None or self.training_draws or self.last_inputs is None:
            return False
        if self._other is None:
            a, b = (self._with_stored(phase) for phase in self.phases)
            self._other = any(not _same(x, y) for x, y in zip(a, b, strict=True))
        return self._other

    def _with_stored(self, phase: Phase) -> list[Any]:
        assert self.last_inputs is not None
        given = {(p, k): self.stored(p) for p, calls in phase.calls.by_site.items() for k in range(len(calls))}
        values = [v.value.numpy() for v in self.variables]
        results = phase.run(self.last_inputs, Recipe(frozenset(), frozenset()), given, (self.seed, 0)).results
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        return [r.numpy() for r in results]

    @property
    def variables(self) -> list[TracedVariable]:
        """Every variable that a phase computes with, each once."""
        used = {id(h): h for phase in self.phases for h in phase.captured.values()}
        known = {id(v.handle): v for v in self.model.variables.values()}
        traced = {id(v.handle): v for phase in self.phases for v in phase.traced.concrete.variables}
        return [
            known.get(key) or TracedVariable(traced[key], traced[key].name, traced[key].name.rpartition(":")[0], -1)
            for key in used
            if key in traced or key in known
        ]

    @property
    def parameters(self) -> int:
        return int(sum(np.prod(v.shape, dtype=np.int64) for v in self.variables if not v.is_seed))

    def set_seeds(self, seed: int) -> None:
        """Let every draw follow from `seed` alone."""
        self.seed, self.windows = seed, 0
        for index, variable in enumerate(v for v in self.variables if v.is_seed):
            value = np.zeros(variable.shape, variable.value.dtype.as_numpy_dtype)
            value[0] = (seed * 9973 + index * 7919) % 2**31
            variable.assign(value)

    def penalty(self) -> float:
        """Sum of the regularization losses."""
        if self._penalty is None:
            values = [float(np.asarray(f())) for f in self.model.penalties]
            self._penalty = float(np.sum(values)) if values else 0.0
        return self._penalty


def _within(path: list[str], steps: list[str]) -> int:
    """How many names of a layer's path stand in an operation's name in this order, the layer's own among them; or 0."""
    at, matched = 0, 0
    for step in steps:
        position = next((i for i in range(at, len(path)) if path[i] == step or _numbered(path[i], step)), None)
        if position is not None:
            at, matched = position + 1, matched + 1
    return matched if at == len(path) else 0


def _numbered(name: str, step: str) -> bool:
    """Whether a step is the name with the number that a graph adds to a name used before."""
    return step.startswith(name + "_") and step[len(name) + 1 :].isdecimal()


def _written(phase: Phase) -> set[int]:
    """Handles of the variables that a phase writes to."""
    nodes = [n for n in phase.flat.nodes.values() if n.op.startswith(KEPT) and n.input]
    return {id(phase.captured[name]) for n in nodes if (name := n.input[0].rpartition(":")[0]) in phase.captured}


def _same(a: Any, b: Any) -> bool:
    scale = float(np.max(np.abs(np.nan_to_num(a)), initial=0.0)) or 1.0
    return bool(np.allclose(a, b, rtol=0.0, atol=SAME * scale, equal_nan=True))

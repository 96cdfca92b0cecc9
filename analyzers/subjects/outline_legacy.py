"""Weights as Keras laid them out before its own format: a group for each outermost layer, with the variables' names.

Names end in what a variable is (`gamma`, `moving_mean`), so that a layer that normalizes by batch is told by its own
variables, with a configuration or without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from analyzers.subjects.facts import text
from analyzers.subjects.hdf5_safety import attribute
from analyzers.subjects.hdf5_tree import Branch, Data
from analyzers.subjects.outline_config import LONGEST_NAME, Described
from analyzers.subjects.outline_facts import Normalizing, Outline, Stored, Weights, judged, moved
from analyzers.subjects.small_vectors import Vector, Vectors, size_of

MEANS = ("moving_mean", "running_mean")
VARIANCES = ("moving_variance", "running_var", "running_variance")
ADAPTED = ("mean", "variance", "count")
"""What a `Normalization` layer takes from data without being trained."""

MAX_PARTS = 10_000
"""Numbered attributes over which Keras splits a list of names that is too long for one."""


@dataclass
class Held:
    """The variables of one layer by what they are; `top` is the outermost layer, `name` the layer's own."""

    top: str
    name: str
    variables: dict[str, Data] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """By the names in the file: of the outermost layer and, inside of it, of the layer."""
        return self.name if self.name == self.top or self.name.startswith(self.top + "/") else f"{self.top}/{self.name}"

    @property
    def pair(self) -> tuple[Data, Data] | None:
        """Moving mean and variance, where it has both."""
        mean = next((self.variables[n] for n in MEANS if n in self.variables), None)
        variance = next((self.variables[n] for n in VARIANCES if n in self.variables), None)
        return None if mean is None or variance is None else (mean, variance)

    @property
    def parameters(self) -> list[Data]:
        adapted = set(self.variables) == set(ADAPTED)
        return [] if adapted else [v for n, v in self.variables.items() if n not in (*MEANS, *VARIANCES)]


def held(root: Branch) -> list[Held]:
    """Every layer that holds variables, in the order of the file."""
    found: dict[tuple[str, str], Held] = {}
    for top in names(root, "layer_names") or list(root.children):
        group = root.get(top)
        if not isinstance(group, Branch):
            continue
        for weight, dataset in _weights(group):
            name, _, variable = weight.partition(":")[0].rpartition("/")
            layer = found.setdefault((top, name), Held(top, name or top))
            layer.variables.setdefault(variable, dataset)
    return list(found.values())


def with_config(root: Branch, layers: Sequence[Described]) -> Weights:
    """What the weights of the model with these layers hold."""
    budget, holding = Vectors(), held(root)
    waiting = [h for h in holding if h.pair]
    found = []
    for layer in (x for x in layers if x.normalizes):
        mine = next((h for h in waiting if _belongs(h, layer)), None)
        if mine is not None:
            waiting.remove(mine)
        stored = _stored(mine, budget) if mine is not None else None
        channels = stored.channels if stored else None
        momentum, epsilon = layer.setting("momentum"), layer.setting("epsilon")
        found.append(Normalizing(layer.path, layer.class_name, channels, momentum, epsilon, stored))
    return Weights(found, moved(_parameters(holding, budget)), _count(holding))


def alone(root: Branch) -> Outline:
    """The outline of what `save_weights` of Keras 2 wrote."""
    budget, holding = Vectors(), held(root)
    normalizing = []
    for layer in (h for h in holding if h.pair):
        stored = _stored(layer, budget)
        channels = stored.channels if stored else None
        normalizing.append(Normalizing(layer.path, "BatchNormalization", channels, stored=stored))
    return Outline(
        format="legacy_weights_h5",
        keras_version=text(attribute(root, "keras_version")),
        backend=text(attribute(root, "backend")),
        layers=len(holding),
        normalizing=normalizing,
        parameters=_count(holding),
        moved=moved(_parameters(holding, budget)),
    )


def names(group: Branch, of: str) -> list[str]:
    """A list of names, which Keras splits over numbered attributes where it is too long for one."""
    parts = [attribute(group, of)] if of in group.attrs else []
    while len(parts) < MAX_PARTS and f"{of}{len(parts)}" in group.attrs:
        parts.append(attribute(group, f"{of}{len(parts)}"))
    listed = [
        item for part in parts if hasattr(part, "__iter__") and not isinstance(part, str | bytes) for item in part
    ]
    return [name for item in listed if (name := text(item, 4 * LONGEST_NAME)) is not None]


def _weights(group: Branch) -> list[tuple[str, Data]]:
    """The datasets of a layer by the names of its weights: in the order of its list, or, where that cannot be read, all
    below `group` by their places, in the order of the alphabet.
    """
    listed = names(group, "weight_names")
    if not listed:
        return list(group.datasets())
    return [(name, item) for name in listed if isinstance(item := group.get(name), Data)]


def _belongs(layer: Held, described: Described) -> bool:
    """Whether variables are those of a layer of the configuration: the same outermost layer, the same own name."""
    path = described.path.split("/")[1:]
    return bool(path) and layer.top == path[0] and layer.name.rpartition("/")[2] == path[-1]


def _stored(layer: Held, budget: Vectors) -> Stored | None:
    assert layer.pair is not None
    mean, variance = (budget.read(v) for v in layer.pair)
    return None if mean is None or variance is None or mean.shape != variance.shape else judged(mean, variance)


def _parameters(holding: Sequence[Held], budget: Vectors) -> list[Vector]:
    read = (budget.read(v) for h in holding for v in h.parameters)
    return [values for values in read if values is not None]


def _count(holding: Sequence[Held]) -> int:
    return sum(size_of(v) for h in holding for v in h.variables.values())

"""Weights as Keras 3 lays them out in HDF5: a group for each layer, its variables numbered in `vars`.

With a configuration beside it (`.keras`) that says which group is which layer. Alone (`.weights.h5`) a group's name
tells the class where the layer stands in a list of layers, in snake case; where a layer is an attribute of somebody's
own class, the group has the attribute's name, and nothing tells what it is. Newer versions add the layer's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from analyzers.subjects.facts import text
from analyzers.subjects.hdf5_safety import attribute
from analyzers.subjects.hdf5_tree import Branch, Data
from analyzers.subjects.outline_config import LONGEST_NAME, Described
from analyzers.subjects.outline_facts import Normalizing, Outline, Stored, Weights, judged, moved
from analyzers.subjects.small_vectors import Vector, Vectors, is_vector, size_of, step_count

ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")
"""Where Keras 3 keeps the optimizer's step count: it is the first variable that every optimizer creates. An optimizer
that scales the loss for mixed precision leaves counting to the one inside of it."""

NO_LAYERS = re.compile(
    r"(^|/)(optimizer|metrics|_\w*metric\w*|seed_generator|seed_generators|_loss_tracker)(_\d+)?(/|$)"
)
"""Groups beside layers: the optimizer's slots, what metrics have counted, the states of random generators."""

BATCH_NORMALIZING = re.compile(r"(sync_)?batch_normalization(_\d+)?")
NORMALIZATION = re.compile(r"normalization(_\d+)?")
LISTS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that stand for a list of layers, in Keras 3 and, for its own format, in Keras 2."""

PARAMETERS = 4
"""Vectors of batch normalization with center and scale; without, there are as many as elsewhere."""


@dataclass
class Group:
    """The variables of one layer, by their numbers. `path` joins names as far as the file has them."""

    place: str
    name: str | None
    variables: list[Data] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The last part of its place."""
        return self.place.rpartition("/")[2]

    @property
    def listed(self) -> bool:
        """Whether its name is that of its class, since it stands in a list of layers."""
        parts = self.place.split("/")
        return len(parts) > 1 and parts[-2] in LISTS

    @property
    def vectors(self) -> bool:
        """Whether all variables are float vectors of one length."""
        shapes = {v.shape if is_vector(v) else None for v in self.variables}
        return len(shapes) == 1 and None not in shapes


def groups(root: Branch, named: bool) -> dict[str, Group]:
    """The layers' groups by place, those without variables too; optimizer, metrics and generators are left out. Their
    names are read where they are `named`.
    """
    found = {}
    for place, group in _walk(root):
        ordered = sorted(group.children.items(), key=lambda child: _number(child[0]))
        variables = [item for _, item in ordered if isinstance(item, Data)]
        found[place] = Group(place, text(attribute(group, "name"), LONGEST_NAME) if named else None, variables)
    return found


def with_config(root: Branch, layers: Sequence[Described]) -> Weights:
    """What the weights file of the model with these layers holds."""
    budget, by_place = Vectors(), groups(root, named=False)
    found, taken = [], set()
    for layer in (x for x in layers if x.normalizes):
        group = by_place.get(layer.group)
        fits = group is not None and group.vectors and len(group.variables) == layer.weights
        stored = _stored(group.variables, budget) if group is not None and fits else None
        taken.add(layer.group if fits else "")
        channels = stored.channels if stored else None
        momentum, epsilon = layer.setting("momentum"), layer.setting("epsilon")
        found.append(Normalizing(layer.path, layer.class_name, channels, momentum, epsilon, stored))
    others = [g for place, g in by_place.items() if place not in taken]
    normalizations = {x.group for x in layers if x.class_name == "Normalization"}
    small = _small([g for g in others if g.place not in normalizations], by_place, taken, budget)
    return Weights(found, moved(small), sum(size_of(v) for g in by_place.values() for v in g.variables))


def alone(root: Branch, named: bool = True) -> Outline:
    """The outline of a `.weights.h5` file. Names are texts of free length: have them read from checked heaps only."""
    budget, by_place = Vectors(), groups(root, named)
    held = [g for g in by_place.values() if g.variables]
    normalizing = [g for g in held if _is_batch_normalization(g)]
    places = {g.place for g in normalizing}
    plain = [g for g in held if not (g.listed and NORMALIZATION.fullmatch(g.key))]
    paths = _paths(by_place)
    return Outline(
        format="weights_h5",
        layers=len(held),
        classes=dict(Counter(re.sub(r"_\d+$", "", g.key) for g in held if g.listed)),
        normalizing=[_normalizing(g, paths[g.place], budget) for g in normalizing],
        optimizer_iterations=step_count(root, ITERATIONS),
        parameters=sum(size_of(v) for g in held for v in g.variables),
        moved=moved(_small([g for g in plain if g.place not in places], by_place, places, budget)),
        untold=[paths[g.place] for g in held if g.place not in places and _might_be(g)],
    )


def _normalizing(group: Group, path: str, budget: Vectors) -> Normalizing:
    stored = _stored(group.variables, budget)
    return Normalizing(path, "BatchNormalization", stored.channels if stored else None, stored=stored)


def _stored(variables: Sequence[Data], budget: Vectors) -> Stored | None:
    mean, variance = (budget.read(v) for v in variables[-2:])
    return None if mean is None or variance is None else judged(mean, variance)


def _small(others: Sequence[Group], by_place: dict[str, Group], taken: set[str], budget: Vectors) -> list[Vector]:
    """The small parameters: gammas and betas of the layers that are taken, and the vectors of all others."""
    own = [v for place in sorted(taken) if place in by_place for v in by_place[place].variables[:-2]]
    read = (budget.read(v) for v in [*own, *(v for g in others for v in g.variables)])
    return [values for values in read if values is not None]


def _is_batch_normalization(group: Group) -> bool:
    """Whether the file says so: by the group's name in a list of layers, or by a name that Keras itself gave."""
    told = group.listed and BATCH_NORMALIZING.fullmatch(group.key)
    named = group.name is not None and BATCH_NORMALIZING.fullmatch(group.name)
    return bool(told or named) and group.vectors and 2 <= len(group.variables) <= PARAMETERS


def _might_be(group: Group) -> bool:
    return not group.listed and group.vectors and len(group.variables) == PARAMETERS


def _paths(by_place: dict[str, Group]) -> dict[str, str]:
    """Layers' names from the outermost model inwards where the file has them, else the parts of their places."""
    paths = {}
    for place in by_place:
        parts = place.split("/")
        ends = ["/".join(parts[: i + 1]) for i in range(len(parts))] if place else []
        names = [by_place[end].name or by_place[end].key for end in ends if end in by_place]
        root = by_place[""].name if "" in by_place else None
        paths[place] = "/".join([*([root] if root else []), *names])
    return paths


def _walk(root: Branch) -> Iterator[tuple[str, Branch]]:
    """Every `vars` group with the place that it stands at, in the order of the file."""
    waiting: list[tuple[str, Branch]] = [("", root)]
    while waiting:
        place, group = waiting.pop()
        own = group.children.get("vars")
        if isinstance(own, Branch):
            yield place, own
        for name, child in reversed(group.children.items()):
            inside = f"{place}/{name}".lstrip("/")
            if name != "vars" and isinstance(child, Branch) and not NO_LAYERS.search(inside):
                waiting.append((inside, child))


def _number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdigit() and len(key) < 9 else (1 << 30, key)

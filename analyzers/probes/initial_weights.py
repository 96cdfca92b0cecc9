"""Which layers still hold the values that their initializers gave them, and which of those is beyond doubt.

A unit is one layer with weights of its own: a recurrent layer with its cell, an attention layer with its projections.
Among trained units one at its initial values is an odd one out, and it is named only on proof: parameters that are
exactly at a constant, or a kernel so large that training like that of the others must have shown.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyzers.probes.initializers import Look, look
from analyzers.subjects.families import NORMALIZING, is_a, is_model, own_name, own_trainable
from analyzers.symptoms import WeightFacts
from analyzers.traced import Subject

PER_CHANNEL = (*NORMALIZING, "GroupNormalization")  # They take a bias before them away.
NORMALIZATION = (*PER_CHANNEL, "LayerNormalization", "RMSNormalization")
PASSES_ON = ("Add", "Average", "Dropout", "AveragePooling2D", "Reshape", "Identity")
# A constant added to their input is one added to their output: a normalization behind still removes it.
SEEN_MOVING = 7.0  # Values expected beyond the limits: none at all has then a chance of one in a thousand.
SLOWER = 0.1  # A layer may learn ten times slower than the median of the others and still count as trained.
BOUNDED_PROOF = 1000  # Values within hard limits that vouch for a whole net: moves of 1.5 % would show in one of them.


@dataclass
class Unit:
    """One layer with weights of its own; `looks` has its parameters by name."""

    path: str
    layer: Any
    looks: list[tuple[str, Look]] = field(default_factory=list)
    trainable: bool = False

    @property
    def initial(self) -> bool:
        return all(x.initial for _, x in self.looks)

    @property
    def normalizes(self) -> bool:
        return is_a(self.layer, *NORMALIZATION)

    @property
    def constant(self) -> list[Look]:
        """Parameters that start at a constant, or orthogonal."""
        return [x for _, x in self.looks if x.exact]

    @property
    def bounded(self) -> int:
        return sum(x.bounded for _, x in self.looks)

    @property
    def outside(self) -> float:
        """Share of the values beyond the limits of their initializers; 0 where no law has limits."""
        return sum(x.bounded * x.outside for _, x in self.looks) / max(self.bounded, 1)


def facts(subject: Subject) -> WeightFacts:
    """Look at every layer's own trainable parameters."""
    units = _units(subject)
    weighted = [u for u in units if not u.normalizes]
    trained = [u for u in units if not u.initial]
    moved = any(not x.initial for u in units for x in u.constant)
    odd = _with_what_feeds([u for u in units if u.initial and _proven(u, trained, units)], units)
    vouched = any(u.constant for u in units) or sum(u.bounded for u in units) >= BOUNDED_PROOF
    return WeightFacts(
        layers=len(weighted),
        at_initial_values=[u.path for u in weighted if u.initial],
        constants_moved=moved,
        vouched=vouched,
        left_at_start=[u.path for u in odd if u.trainable],
        frozen_at_start=[u.path for u in odd if not u.trainable],
        units=len(units),
        last=units[-1].path if units else "",
    )


def _with_what_feeds(odd: list[Unit], units: list[Unit]) -> list[Unit]:
    """The units with those that look initial and stand before a normalization of theirs: few weights prove nothing by
    themselves, but what was trained moves the normalization behind it as well.
    """
    proven = {id(u) for u in odd}
    ahead = {id(u) for u, after in itertools.pairwise(units) if after.normalizes and id(after) in proven}
    return [u for u in units if id(u) in proven or (u.initial and id(u) in ahead)]


def _units(subject: Subject) -> list[Unit]:
    """Layers in the order of the model; what a layer that is no model holds inside counts as its own."""
    units: list[Unit] = []
    inside: Unit | None = None
    seen: set[int] = set()
    for path, layer in subject.layers:
        if is_model(layer):
            inside = None
            continue
        if inside is None or not path.startswith(inside.path + "/"):
            inside = Unit(path, layer)
            units.append(inside)
        for variable in own_trainable(layer):
            found = look(layer, variable) if id(variable) not in seen else None
            seen.add(id(variable))
            if found is not None:
                inside.looks.append((own_name(variable), found))
                inside.trainable = inside.trainable or bool(variable.trainable)
    return [u for u in units if u.looks]


def _proven(unit: Unit, trained: list[Unit], units: list[Unit]) -> bool:
    """Whether a unit that looks initial cannot have been trained as the others were."""
    pace = [u.outside for u in trained if u.bounded and not u.normalizes]
    if not trained:
        return False
    if pace and unit.bounded * SLOWER * float(np.median(pace)) >= SEEN_MOVING:
        return True
    if unit.normalizes:
        return bool(unit.constant)
    kernels = any(not x.exact for _, x in unit.looks)
    return bool(unit.constant and kernels and not _bias_taken_away(unit.layer, {id(u.layer): u for u in units}))


def _bias_taken_away(layer: Any, units: dict[int, Unit]) -> bool:
    """Whether a trained normalization behind the layer removes its bias, so that no training moves it; True if unknown.

    Behind a normalization that is itself at its start nothing was trained either.
    """
    nodes = getattr(layer, "_outbound_nodes", None)
    if not nodes:
        return not _is_symbolic(getattr(layer, "output", None))
    for following in (getattr(n, "operation", None) or n.outbound_layer for n in nodes):
        unit = units.get(id(following))
        if is_a(following, *PER_CHANNEL) and not (unit is not None and unit.initial):
            return True
        if is_model(following):
            return True
        if is_a(following, *PASSES_ON) and _bias_taken_away(following, units):
            return True
    return False


def _is_symbolic(tensor: Any) -> bool:
    """Whether this is a tensor of a functional graph, of either family."""
    return type(tensor).__name__ == "KerasTensor"

"""The layers in a model's configuration, nested ones too, with their paths and the places of their weights.

A walk over JSON: nothing is built.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from analyzers.errors import ModelUnsafe
from analyzers.subjects.config_safety import FOREIGN_CODE, MAX_OBJECTS, PACKAGES
from analyzers.subjects.facts import text
from analyzers.subjects.layer_names import NAMES
from analyzers.subjects.outline_facts import DEFAULT_EPSILON, DEFAULT_MOMENTUM
from analyzers.subjects.tensor_functions import OPERATIONS

LONGEST_NAME = 200
"""Characters kept of a name or class: more than any that a person gave."""

DEEPEST = 60
"""Models within models; the JSON's own depth is bounded at 200."""

INSIDE = {"layer": "layer", "forward_layer": "forward_layer", "backward_layer": "backward_layer", "cell": "cell"}
"""Settings of wrappers that hold a layer, and the group of its weights."""

MODELS = ("Functional", "Sequential", "Model")
BATCH_NORMALIZING = re.compile(r"(Sync)?BatchNormalization(V1|V2)?")


@dataclass(frozen=True)
class Described:
    """One layer of a configuration. `group` is where `.keras` files keep its weights."""

    path: str
    class_name: str
    group: str
    config: dict[str, Any]
    module: str | None
    registered: str | None

    @property
    def normalizes(self) -> bool:
        """Whether it normalizes by batch, by its class."""
        return BATCH_NORMALIZING.fullmatch(self.class_name) is not None

    def setting(self, name: str) -> float | None:
        """Its momentum or epsilon: Keras' default where it is left out, None where it is no number."""
        value = self.config.get(name, {"momentum": DEFAULT_MOMENTUM, "epsilon": DEFAULT_EPSILON}[name])
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def weights(self) -> int:
        """How many variables a batch-normalizing layer has."""
        return 2 + (self.config.get("center") is not False) + (self.config.get("scale") is not False)

    @property
    def is_custom(self) -> bool:
        """Whether its class is none of Keras' own. An operator may have registered it all the same."""
        if self.class_name in OPERATIONS:
            return False
        if self.registered and ">" in self.registered:
            return True
        if self.module is not None:
            return self.module.split(".")[0] not in PACKAGES
        return self.class_name not in NAMES

    @property
    def is_code(self) -> bool:
        return self.class_name == "Lambda" or self.class_name in FOREIGN_CODE


def described(config: dict[str, Any]) -> list[Described]:
    """The model itself and every layer in it, in the order of the file.

    Raises:
        ModelUnsafe: more layers than any model has.
    """
    found: list[Described] = []
    for layer in _walk(config, "", "", 0):
        found.append(layer)
        if len(found) > MAX_OBJECTS:
            raise ModelUnsafe(f"The model's configuration has more than {MAX_OBJECTS} layers. No real model has.")
    return found


def _walk(item: dict[str, Any], above: str, group: str, depth: int) -> Iterator[Described]:
    inner = item.get("config")
    config = inner if isinstance(inner, dict) else {}
    class_name = text(item.get("class_name"), LONGEST_NAME) or "?"
    name = text(config.get("name"), LONGEST_NAME) or text(item.get("name"), LONGEST_NAME) or snake_case(class_name)
    path = f"{above}/{name}" if above else name
    module, registered = text(item.get("module"), LONGEST_NAME), text(item.get("registered_name"), LONGEST_NAME)
    yield Described(path, class_name, group, config, module, registered)
    if depth >= DEEPEST:
        return
    for place, child in _children(config, inner):
        if class_name == "Sequential" and child["class_name"] == "InputLayer":
            continue  # Keras does not count it among the layers of such a model
        yield from _walk(child, path, f"{group}/{place}".lstrip("/"), depth + 1)


def _children(config: dict[str, Any], inner: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a model or wrapper holds, with the group of each. The oldest Sequential files are a bare list of layers."""
    layers = inner if isinstance(inner, list) else config.get("layers")
    taken: Counter[str] = Counter()
    for child in layers if isinstance(layers, list) else []:
        if isinstance(child, dict) and isinstance(child.get("class_name"), str):
            place = snake_case(child["class_name"][:LONGEST_NAME])
            count = taken[place]
            taken[place] += 1
            yield f"layers/{place}_{count}" if count else f"layers/{place}", child
    for key, place in INSIDE.items():
        child = config.get(key)
        if isinstance(child, dict) and isinstance(child.get("class_name"), str):
            yield place, child


def snake_case(name: str) -> str:
    """A class name as Keras names groups by it. Source: `to_snake_case` of Keras 3."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

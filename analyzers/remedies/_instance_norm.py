"""The rebuilt model as code to paste: the very function by which the service rebuilds and tries it."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any


def with_instance_normalization(model: Any) -> Any:
    """The model built anew with instance normalization in place of batch normalization, and all weights carried over.

    Gamma, beta and epsilon are those of the layers replaced; layers that are frozen stay as they are.
    """
    keras = importlib.import_module(type(model).__module__.partition(".")[0])  # Keras 2 or 3, whichever made it
    known = keras.layers.GroupNormalization().get_config()

    def own(layer: Any) -> Any:
        kinds = ("_trainable_variables", "_non_trainable_variables", "_trainable_weights", "_non_trainable_weights")
        return {w.name.split("/")[-1]: w for kind in kinds for w in getattr(layer, kind, [])}

    def rebuilt(part: Any) -> Any:
        if isinstance(part, list):
            return [rebuilt(p) for p in part]
        if not isinstance(part, dict):
            return part
        part = {k: rebuilt(v) for k, v in part.items()}
        if part.get("class_name") == "BatchNormalization" and part["config"].get("trainable", True):
            part["class_name"] = "GroupNormalization"
            part["config"] = {**{k: v for k, v in part["config"].items() if k in known}, "groups": -1}
            axis = part["config"]["axis"]
            part["config"]["axis"] = axis[0] if isinstance(axis, list) else axis
            for node in part.get("inbound_nodes", []):
                if isinstance(node, dict):
                    node["kwargs"].pop("mask", None)  # which group normalization does not take
        return part

    new = keras.models.model_from_json(json.dumps(rebuilt(json.loads(model.to_json()))))
    for before, after in zip(model._flatten_layers(), new._flatten_layers(), strict=True):
        for name, weight in own(after).items():
            weight.assign(own(before)[name])  # by name: a layer replaced has gamma and beta still, statistics no more
    return new


def snippet() -> str:
    """The function with the lines that call it."""
    source = inspect.getsource(with_instance_normalization).replace(": Any", "").replace(" -> Any", "")
    return (
        f"import importlib\nimport json\n\nimport keras\n\n\n{source}\n\n"
        "model = with_instance_normalization(keras.models.load_model('model.keras'))\n"
        "model.save('model_instance.keras')\n"
    )

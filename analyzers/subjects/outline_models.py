"""The outline of a model from its configuration: how many layers of which class, and what would need code."""

from __future__ import annotations

from collections import Counter
from typing import Any

from analyzers.subjects.outline_config import described
from analyzers.subjects.outline_facts import Format, Normalizing, Outline


def of_config(format_name: Format, config: dict[str, Any], keras_version: str | None, backend: str | None) -> Outline:
    """What a configuration tells; statistics and step counts stand elsewhere."""
    root, *layers = described(config)
    custom: dict[str, list[str]] = {}
    code: dict[str, list[str]] = {}
    for layer in (root, *layers):
        if layer.is_code:
            code.setdefault(layer.class_name, []).append(layer.path)
        elif layer.is_custom:
            custom.setdefault(layer.class_name, []).append(layer.path)
    normalizing = [
        Normalizing(x.path, x.class_name, None, x.setting("momentum"), x.setting("epsilon"))
        for x in layers
        if x.normalizes
    ]
    return Outline(
        format=format_name,
        keras_version=keras_version,
        backend=backend,
        name=root.path,
        layers=len(layers),
        classes=dict(Counter(x.class_name for x in layers)),
        normalizing=normalizing,
        custom=custom,
        code=code,
    )

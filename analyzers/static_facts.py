"""What the static pass found, as the report has it: bounded in size, whatever the file holds."""

from __future__ import annotations

import math

from analyzers.report_static import StaticFacts, StaticLayer, StaticStatus
from analyzers.subjects.outline_facts import Normalizing, Outline, Stored

MOST_LAYERS, MOST_CLASSES, MOST_PATHS = 200, 40, 5
"""Of each list in a report: EfficientNetV2-L has 217 such layers, and the report's own list of layers has all."""


def static_facts(outline: Outline) -> StaticFacts:
    """The report's part on `outline`."""
    most = sorted(outline.classes.items(), key=lambda item: -item[1])[:MOST_CLASSES]
    return StaticFacts(
        format=outline.format,
        keras_version=outline.keras_version,
        layers=outline.layers,
        classes=dict(most),
        batch_normalizing_layers=len(outline.normalizing),
        batch_normalizing=[_layer(x) for x in outline.normalizing[:MOST_LAYERS]],
        optimizer_iterations=outline.optimizer_iterations,
        parameters=outline.parameters,
        parameters_moved=outline.moved,
        custom_classes=_bounded(outline.custom),
        code=_bounded(outline.code),
        weights_only=outline.weights_only,
    )


def status(stored: Stored | None) -> StaticStatus:
    """What stored statistics alone say of a layer."""
    if stored is None:
        return "not_read"
    if stored.impossible:
        return "corrupt"
    return "never_updated" if stored.at_start else "ok"


def _layer(found: Normalizing) -> StaticLayer:
    stored = found.stored
    told = stored is not None and not math.isnan(stored.least)
    return StaticLayer(
        path=found.path,
        class_name=found.class_name,
        channels=found.channels,
        momentum=found.momentum,
        epsilon=found.epsilon,
        status=status(stored),
        bad_channels=stored.non_finite + stored.negative if stored else 0,
        least_variance=stored.least if stored and told else None,
        largest_variance=stored.largest if stored and told else None,
    )


def _bounded(users: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: paths[:MOST_PATHS] for name, paths in list(users.items())[:MOST_CLASSES]}

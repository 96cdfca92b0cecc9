"""The report's part on what a model file was found to hold before any model was built."""

from __future__ import annotations

from typing import Literal

from analyzers.report_base import Number, Part

StaticStatus = Literal["ok", "never_updated", "corrupt", "not_read"]


class StaticLayer(Part):
    """A layer that normalizes by the batch, by what the file holds of it.

    `status` is that of the stored statistics alone: exactly at their start, impossible, neither, or not read; the
    variances are the least and the largest finite ones among the channels.
    """

    path: str
    class_name: str
    channels: int | None
    momentum: Number | None
    epsilon: Number | None
    status: StaticStatus
    bad_channels: int = 0
    least_variance: Number | None = None
    largest_variance: Number | None = None


class StaticFacts(Part):
    """What the static pass found in the file, without building or running anything.

    Bounded in size: `batch_normalizing` has the first layers of `batch_normalizing_layers` in all, `classes` the most
    frequent classes of layers, `custom_classes` the classes that are not Keras' own with some layers of each, `code`
    likewise those that run code. `parameters_moved`: whether a bias or scale stands where no initializer leaves it.
    """

    format: str
    keras_version: str | None
    layers: int
    classes: dict[str, int]
    batch_normalizing_layers: int
    batch_normalizing: list[StaticLayer]
    optimizer_iterations: int | None
    parameters: int | None
    parameters_moved: bool | None
    custom_classes: dict[str, list[str]]
    code: dict[str, list[str]]
    weights_only: bool

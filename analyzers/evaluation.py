"""Loss and metrics of a phase, as `evaluate` would print them, and each sample's own loss for paired comparisons.

The loss and metrics are those that the model was compiled with, rebuilt from its configuration, or those that the
caller names instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from keras.src.trainers.compile_utils import CompileMetrics

from analyzers.errors import BatchMismatch, InvalidOption
from analyzers.outputs import Outputs
from analyzers.report import PhaseFigures
from analyzers.restoring import restored
from analyzers.statistics import Array


@dataclass(frozen=True)
class Compiled:
    """What a model is judged by. Each field in the forms that `Model.compile` takes, deserialized, or None."""

    loss: Any = None
    metrics: Any = None
    weighted_metrics: Any = None
    loss_weights: Any = None

    @property
    def empty(self) -> bool:
        return self.loss is None and not self.metrics and not self.weighted_metrics

    def called(self, names: Mapping[str, str]) -> Compiled:
        """The same, with `names` (old: new) for outputs that go by another name here; dictionaries become flat."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return Compiled(**{k: _renamed(v, names) if isinstance(v, dict) else v for k, v in settings.items()})


def _renamed(value: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): leaf for key, leaf in _by_leaf(value).items()}


def _by_leaf(value: dict[str, Any]) -> dict[str, Any]:
    """A dictionary of dictionaries, as nested outputs are compiled, with the innermost names alone."""
    inner = ((k, _by_leaf(v) if isinstance(v, dict) else v) for k, v in value.items())
    return {n: leaf for k, v in inner for n, leaf in (v.items() if isinstance(v, dict) else [(k, v)])}


def compiled_from_config(config: dict[str, Any] | None, names: Mapping[str, str]) -> tuple[Compiled, str | None]:
    """The compile settings in a file's `compile_config`, and why they could not be rebuilt where that is so.

    `names` (old: new) as `Compiled.called` takes them.
    """
    if not config:
        return Compiled(), None
    try:
        settings = restored(config)
        _check(settings["loss"], settings["loss_weights"])
        return Compiled(**settings).called(names), None
    except Exception as error:  # Keras raises whatever the configuration provokes; the model itself is still fine.
        return Compiled(), f"the compile settings in the file could not be rebuilt ({type(error).__name__})"


def _check(loss: Any, weights: Any) -> None:
    """Raise unless every output's loss is one, and every weight a number."""
    for each in _leaves(loss):
        if isinstance(each, keras.Metric):
            raise TypeError("a metric stands where a loss should")
        keras.losses.get(each)
    for weight in _leaves(weights):
        float(weight or 0.0)


def _leaves(setting: Any) -> list[Any]:
    """What a compile setting says of each output."""
    if isinstance(setting, dict):
        return list(_by_leaf(setting).values())
    return list(setting) if isinstance(setting, list | tuple) else [setting]


def compiled_from_names(base: Compiled, loss: Any, metrics: Any) -> Compiled:
    """`base` with a loss and metrics that the caller named.

    Raises:
        InvalidOption: Keras knows no loss or metric of that name.
    """
    wanted = [m.strip() for m in metrics.split(",") if m.strip()] if isinstance(metrics, str) else metrics
    for what, get, given in (("loss", keras.losses.get, loss), ("metric", keras.metrics.get, wanted)):
        for identifier in keras.tree.flatten(given):
            if what == "metric" and identifier in ("accuracy", "acc", "crossentropy", "ce"):
                continue
            try:
                get(identifier)
            except Exception as error:
                raise InvalidOption(f"Keras knows no {what} `{identifier}`") from error
    return Compiled(
        base.loss if loss is None else loss,
        base.metrics if wanted is None else wanted,
        base.weighted_metrics if wanted is None else None,
        base.loss_weights if loss is None else None,
    )


class Evaluator:
    """Figures of one phase from its outputs."""

    def __init__(
        self, compiled: Compiled, output_names: Sequence[str], y: list[Array] | None, weight: Array | None
    ) -> None:
        self.compiled, self.names, self.y, self.weight = compiled, list(output_names), y, weight
        self.losses = per_output(compiled.loss, self.names) if compiled.loss is not None else []
        self.loss_weights = per_output(compiled.loss_weights, self.names, default=1.0)

    @property
    def has_loss(self) -> bool:
        return self.y is not None and any(loss is not None for loss in self.losses)

    def figures(self, outputs: Outputs, penalty: float) -> PhaseFigures:
        """Loss and metrics; None and empty where there are no labels or nothing was compiled."""
        each = self.per_sample(outputs)
        data_loss = None if each is None else float(np.mean(each))
        return PhaseFigures(
            loss=None if data_loss is None else data_loss + penalty,
            metrics=self._metrics(outputs),
            data_loss=data_loss,
            regularization_loss=penalty,
        )

    def per_sample(self, outputs: Outputs) -> Array | None:
        """The weighted loss of each sample, (samples,); its mean is the data loss."""
        if not self.has_loss or self.y is None:
            return None
        total = np.zeros(len(outputs[0]))
        for i, loss in enumerate(self.losses):
            if loss is not None:
                total += float(self.loss_weights[i] or 0.0) * self._output_loss(loss, i, outputs)
        if self.weight is not None:
            total = total * self.weight
        return total

    def _output_loss(self, loss: Any, index: int, outputs: Outputs) -> Array:
        assert self.y is not None
        output = outputs[index]
        function = keras.losses.get(loss)
        truth = self.y[index]
        if truth.ndim == output.ndim - 1 and output.shape[-1] == 1:
            truth = truth[..., None]  # What Keras does too: labels (n,) against an output (n, 1).
        call = function.call if isinstance(function, keras.Loss) else function
        try:
            values = np.asarray(call(tensor(truth), with_logits(output, outputs.logits[index])), np.float64)
            each: Array = values.reshape(len(output), -1).mean(axis=1)
        except Exception as error:
            raise BatchMismatch(
                f"The loss `{_name(loss)}` cannot be computed for output `{self.names[index]}`: "
                f"{_label_trouble(self.y[index], output)}"
            ) from error
        return each

    def _metrics(self, outputs: Outputs) -> dict[str, float]:
        if self.y is None or not (self.compiled.metrics or self.compiled.weighted_metrics):
            return {}
        truth = [tensor(y) for y in self.y]
        guess = [with_logits(o, z) for o, z in zip(outputs, outputs.logits, strict=True)]
        single = len(truth) == 1
        try:
            box = CompileMetrics(self.compiled.metrics, self.compiled.weighted_metrics, output_names=self.names)
            box.update_state(*((truth[0], guess[0]) if single else (truth, guess)), sample_weight=self.weight)
            results = keras.tree.map_structure(np.asarray, box.result())
            return {self._named(k): float(np.asarray(v)) for k, v in results.items()}
        except Exception as error:
            raise BatchMismatch(
                f"The metrics cannot be computed: labels have shapes {[y.shape for y in self.y]}, outputs "
                f"{[o.shape for o in outputs]}. Send labels as the model was trained with, or name metrics for these."
            ) from error

    def _named(self, metric: str) -> str:
        """Keras 2 saved metrics with the name of their output before theirs, and now it is put there once more."""
        twice = next((n for n in self.names if metric.startswith(f"{n}_{n}_")), None)
        return metric if twice is None else metric.removeprefix(f"{twice}_")


def prediction_agreement(a: Sequence[Array], b: Sequence[Array]) -> float | None:
    """Share of decisions on which two phases agree, over all classifying outputs; None where no output classifies."""
    shares = [share for x, y in zip(a, b, strict=True) if (share := _agreement(x, y)) is not None]
    return float(np.mean(shares)) if shares else None


def _agreement(a: Array, b: Array) -> float | None:
    if a.ndim < 2:
        return None
    if a.shape[-1] > 1 and _probabilities(a) and _probabilities(b):
        return float(np.mean(a.argmax(axis=-1) == b.argmax(axis=-1)))
    if a.shape[-1] == 1 and _in_unit(a) and _in_unit(b):
        return float(np.mean((a > 0.5) == (b > 0.5)))
    return None


def _in_unit(a: Array) -> bool:
    return bool(np.all(~np.isfinite(a) | ((a >= 0) & (a <= 1))))


def _probabilities(a: Array) -> bool:
    return _in_unit(a) and bool(np.all(~np.isfinite(a) | (np.abs(a.sum(axis=-1, keepdims=True) - 1) < 1e-2) | (a <= 1)))


def _label_trouble(truth: Array, output: Array) -> str:
    """What is odd about labels that a loss refused."""
    classes = output.shape[-1]
    if truth.shape == output.shape and classes > 1 and np.isin(truth, (0, 1)).all():
        return "the labels look one-hot; send `y.argmax(-1)`, or name `loss=categorical_crossentropy`."
    if truth.size and classes > 1 and truth.ndim < output.ndim and (truth.min() < 0 or truth.max() >= classes):
        return f"the labels run from {truth.min():g} to {truth.max():g}, the output has classes 0 to {classes - 1}."
    return (
        f"the labels have shape {truth.shape} and the output {output.shape}; send labels as the model was trained "
        "with, or name the loss that fits them."
    )


def with_logits(output: Array, logits: Array | None) -> Any:
    """An output as a tensor, with the logits behind it where a loss of Keras looks for them."""
    values = tensor(output)
    if logits is not None:
        values._keras_logits = tensor(logits)
    return values


def tensor(values: Any) -> Any:
    """As Keras takes labels and outputs."""
    return keras.ops.convert_to_tensor(values, dtype="float32")


def per_output(value: Any, names: list[str], default: Any = None) -> list[Any]:
    """A compile setting for each output, from any of the forms that `Model.compile` takes."""
    if isinstance(value, dict):
        return [value.get(n, default) for n in names]
    if isinstance(value, (list, tuple)) and len(value) == len(names):
        return list(value)
    return [default if value is None else value] * len(names)


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else str(getattr(loss, "name", None) or getattr(loss, "__name__", "loss"))


def describe(compiled: Compiled) -> tuple[str | None, list[str]]:
    """The names of loss and metrics, for the report."""
    loss = ", ".join(_name(x) for x in keras.tree.flatten(compiled.loss)) if compiled.loss is not None else None
    metrics = [_name(m) for m in keras.tree.flatten([compiled.metrics, compiled.weighted_metrics]) if m is not None]
    return loss, metrics

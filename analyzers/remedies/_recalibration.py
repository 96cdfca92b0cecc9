"""Recalibration as code to paste: the same algorithms as the service's own, in a few lines of Keras each.

`recalibrate` is `Observer.calibrate`, `undo_lag` and `blend` are those of `analyzers.priors`; a test holds them against
each other, value for value.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Recipe:
    """How statistics were made, as the pasted code has to make them again.

    `samples`: how many were sent. `only`: paths of the layers that were recalibrated, None for all. `share`: weight of
    the prior; `updates`: after how many the prior had its lag undone, None where it was not; `unknown`: channels, by
    path, in which there was no prior.
    """

    samples: int
    only: Sequence[str] | None = None
    share: float = 0.0
    updates: float | None = None
    unknown: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def prior_samples(self) -> float:
        """As how many samples the prior counts beside those that were sent."""
        return self.share / (1.0 - self.share) * self.samples


def name_of(layer: Any) -> Any:
    """The layer's path; Keras 2 knows none, and there its name."""
    return getattr(layer, "path", layer.name)


def norms_of(model: Any, only: Any = None) -> Any:
    """The batch normalization layers that are not frozen; of those that `only` names by path, where it is given."""
    found = [n for n in model._flatten_layers() if isinstance(n, keras.layers.BatchNormalization) and n.trainable]
    return [n for n in found if only is None or any(f"/{p}".endswith(f"/{name_of(n)}") for p in only)]


def recalibrate(model: Any, x: Any, only: Any = None) -> None:
    """Set the moving statistics of batch normalization to those of x, taken in one batch; nothing else changes.

    Dropout and augmentation are off: the model is called for inference, and batch normalization alone is told to train.
    """
    norms = [(n, n.momentum, n.call) for n in norms_of(model, only)]
    for layer, _, call in norms:
        layer.momentum = 0.0  # so the statistics of this one batch replace the old ones
        layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))  # 0 * NaN is NaN: clear first
        layer.moving_variance.assign(np.ones(layer.moving_variance.shape))
        layer.call = lambda *args, _call=call, **options: _call(*args, **{**options, "training": True})
    model(x, training=False)
    for layer, momentum, call in norms:
        layer.momentum, layer.call = momentum, call


def undo_lag(model: Any, updates: Any, only: Any = None) -> None:
    """Solve stored = w * start + (1 - w) * true for the true ones: w = momentum ** updates, start 0 and 1."""
    for layer in norms_of(model, only):
        w = layer.momentum**updates
        for stored, start in ((layer.moving_mean, 0.0), (layer.moving_variance, 1.0)):
            stored.assign((stored - w * start) / (1 - w))
        layer.moving_variance.assign(np.maximum(np.array(layer.moving_variance), 0.0))


def prior_of(model: Any, unknown: Any = None) -> Any:
    """Mean and variance by layer as they stand, NaN in the channels that are known to be wrong."""
    prior = {name_of(n): [np.array(n.moving_mean), np.array(n.moving_variance)] for n in norms_of(model)}
    for path, channels in (unknown or {}).items():
        for own in (p for p in prior if f"/{path}".endswith(f"/{p}")):
            for values in prior[own]:
                values[channels] = np.nan
    return prior


def blend(model: Any, prior: Any, share: Any) -> None:
    """Mix the prior into the moving statistics at weight `share` (law of total variance); where it is NaN they stay."""
    for layer in norms_of(model):
        old_mean, old_variance = prior[name_of(layer)]
        mean, variance = np.array(layer.moving_mean), np.array(layer.moving_variance)
        new_mean = share * old_mean + (1 - share) * mean
        new_variance = share * (old_variance + (old_mean - new_mean) ** 2)
        new_variance += (1 - share) * (variance + (mean - new_mean) ** 2)
        layer.moving_mean.assign(np.where(np.isfinite(new_mean), new_mean, mean))
        layer.moving_variance.assign(np.where(np.isfinite(new_variance), new_variance, variance))


def snippet(recipe: Recipe) -> str:
    """The functions that the recipe needs, with the lines that call them."""
    sampled = _sampled(recipe)
    blended = sampled and recipe.share > 0.0
    functions: list[Any] = [name_of, norms_of]
    functions += [undo_lag] if recipe.updates is not None else []
    functions += [recalibrate] if sampled else []
    functions += [prior_of, blend] if blended else []
    imports = "import keras\nimport numpy as np\n" + ("import tensorflow as tf\n" if blended else "")
    return f"{imports}\n\n" + "\n\n".join(_source(f) for f in functions) + "\n\n" + "\n".join(_steps(recipe)) + "\n"


def _sampled(recipe: Recipe) -> bool:
    return recipe.share < 1.0 or bool(recipe.unknown)


def _steps(recipe: Recipe) -> list[str]:
    only = "" if recipe.only is None else f", only={list(recipe.only)!r}"
    lines = ["model = keras.models.load_model('model.keras')"]
    if recipe.updates is not None:
        lines.append(f"undo_lag(model, updates={recipe.updates!r}{only})")
    if recipe.share > 0.0 and _sampled(recipe):
        unknown = {p: list(c) for p, c in recipe.unknown.items()}
        lines.append(f"prior = prior_of(model, unknown={unknown!r})" if unknown else "prior = prior_of(model)")
    if _sampled(recipe):
        tried = f"training data, the more the better; it was tried on {recipe.samples}"
        lines.append(f"recalibrate(model, x_train{only})  # {tried}")
    if 0.0 < recipe.share < 1.0:
        worth = f"{recipe.prior_samples:.12g}"
        lines.append("n = len(tf.nest.flatten(x_train)[0])")
        lines.append(f"blend(model, prior, {worth} / ({worth} + n))  # the prior counts as {worth} samples")
    elif recipe.share == 1.0 and recipe.unknown:
        lines.append("blend(model, prior, 1.0)  # what is known stays")
    return [*lines, "model.save('model_recalibrated.keras')"]


def _source(function: Any) -> str:
    """The function as it stands here, without its types."""
    text = re.sub(r" -> \w+:\n", ":\n", inspect.getsource(function))
    return re.sub(r": Any( = )?", lambda m: "=" if m.group(1) else "", text)

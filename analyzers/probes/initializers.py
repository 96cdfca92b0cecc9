"""Does a parameter look exactly as its initializer leaves it? Held against the law that the initializer draws from.

Three kinds of initializer can be told from training by single values. Constants (biases and betas 0, gammas 1) and
orthogonal matrices lose their property with the first step. Uniform and truncated normal draws have hard limits:
training that moves values by a share d of the limit pushes about the share d / 2 of uniform values beyond it, so that
thousands of values without one outside are a statement. Only an untruncated normal has neither; it is held against its
law by the Kolmogorov-Smirnov test, as all draws are.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy import stats

from analyzers.statistics import Array
from analyzers.subjects.families import is_a, is_legacy, is_own, own_name

LOOKS_INITIAL_P = 1e-6  # A net of a hundred kernels is misjudged once in ten thousand.
KERNEL_SAMPLE = 20_000  # Values tested per kernel, evenly spread: enough to tell a three per cent change of spread.
TRUNCATION = 0.87962566103423978  # Standard deviation of a unit normal truncated at 2, by which Keras divides.
ROUNDED = 1e-5  # Relative: float32 limits, and what half a percent of a training step at any usual rate exceeds.
ORTHOGONAL = 1e-4  # Largest entry of W'W/gain^2 - 1 that a float32 QR leaves, with a wide margin.
FORGETTING = ("LSTMCell", "ConvLSTMCell")  # Their bias starts at 0, and at 1 for the forget gate.

Fans = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """One parameter against its initializer. `initial`: it may be an untouched draw; `exact`: that is known to the
    last digits; `bounded`: how many values a law with hard limits has, 0 without such; `outside`: the share of them
    beyond the limits.
    """

    initial: bool
    exact: bool = False
    bounded: int = 0
    outside: float = 0.0


def look(layer: Any, variable: Any) -> Look | None:
    """Hold a layer's own variable against the initializer that the layer has for it; None where it names none."""
    name = own_name(variable)
    values = np.array(variable).astype(np.float64)
    if name == "bias" and type(layer).__name__ in FORGETTING and getattr(layer, "unit_forget_bias", False):
        return Look(bool(np.isin(values, (0.0, 1.0)).all()), exact=True)
    initializer = _of_keras(next((i for n in _attributes(name) if (i := getattr(layer, n, None)) is not None), None))
    if not isinstance(initializer, keras.initializers.Initializer):
        return None
    looks = [_held_against(initializer, values, fans) for fans in _fans(layer, initializer, values.shape)]
    return min(looks, key=lambda x: (not x.initial, x.outside))


def _of_keras(initializer: Any) -> Any:
    """One of Keras 2 as the same of Keras 3; anything else as it is."""
    if not is_legacy(initializer) or not is_own(initializer):
        return initializer
    settings = {"class_name": type(initializer).__name__, "config": initializer.get_config()}
    return keras.initializers.get(settings)


def _attributes(name: str) -> tuple[str, ...]:
    """Where layers keep the initializer of a variable: `kernel_initializer`, but also `recurrent_initializer`."""
    return f"{name}_initializer", name.replace("kernel", "initializer"), "depthwise_initializer"


def _held_against(initializer: Any, values: Array, fans: Fans) -> Look:
    if isinstance(initializer, keras.initializers.VarianceScaling):
        return _draw(values, initializer.distribution, 0.0, _scale(initializer, fans))
    if isinstance(initializer, keras.initializers.RandomUniform):
        low, high = float(initializer.minval), float(initializer.maxval)
        return _draw(values, "uniform", (low + high) / 2, (high - low) / 2)
    if isinstance(initializer, keras.initializers.TruncatedNormal):
        return _draw(values, "truncated_normal", float(initializer.mean), float(initializer.stddev))
    if isinstance(initializer, keras.initializers.RandomNormal):
        return _draw(values, "untruncated_normal", float(initializer.mean), float(initializer.stddev))
    if isinstance(initializer, keras.initializers.Orthogonal):
        return Look(_orthogonal(values, float(initializer.gain)), exact=True)
    return _like_another(initializer, values)


def _scale(initializer: Any, fans: Fans) -> float:
    """Of the law: half the width of a uniform, the standard deviation before truncation of a normal.

    Source: Glorot and Bengio (2010), He et al. (2015); as `keras.initializers.VarianceScaling` computes it.
    """
    fan = {"fan_in": fans[0], "fan_out": fans[1]}.get(initializer.mode, sum(fans) / 2)
    deviation = math.sqrt(initializer.scale / max(1.0, fan))
    if initializer.distribution == "uniform":
        return math.sqrt(3.0) * deviation
    return deviation / TRUNCATION if initializer.distribution == "truncated_normal" else deviation


def _fans(layer: Any, initializer: Any, shape: tuple[int, ...]) -> list[Fans]:
    """Numbers of input and output units that the initializer may have counted.

    Two for an einsum's kernel: by its equation, as Keras counts now, and by its shape, as older versions did.
    """
    first = shape[-2] if len(shape) > 1 else math.prod(shape)
    receptive = math.prod(shape[:-2])
    found = [(float(first * receptive), float(math.prod(shape[-1:]) * receptive))]
    inputs, outputs = getattr(initializer, "input_axes", None), getattr(initializer, "output_axes", None)
    if is_a(layer, "EinsumDense") and (inputs is None or outputs is None):
        _, letters, result = re.split(",|->", layer.equation.replace("...", ""))
        outputs = [i for i, letter in enumerate(letters) if letter in result]
        inputs = [i for i in range(len(letters)) if i not in outputs]
    if inputs is not None and outputs is not None and max([*inputs, *outputs]) < len(shape):
        found.append((float(math.prod(shape[a] for a in inputs)), float(math.prod(shape[a] for a in outputs))))
    return found


def _draw(values: Array, distribution: str, mean: float, scale: float) -> Look:
    """Values against a uniform of half width `scale`, or a normal of that deviation, truncated at two or not."""
    flat = values.ravel()
    sample = flat[:: max(1, flat.size // KERNEL_SAMPLE)]
    if distribution == "untruncated_normal":
        return Look(_fits(sample, stats.norm(mean, scale)))
    uniform = distribution == "uniform"
    limit = scale if uniform else 2 * scale
    outside = float(np.mean(np.abs(flat - mean) > limit * (1 + ROUNDED)))
    law = stats.uniform(mean - limit, 2 * limit) if uniform else stats.truncnorm(-2, 2, mean, scale)
    return Look(outside == 0.0 and _fits(sample, law), bounded=flat.size, outside=outside)


def _fits(sample: Array, law: Any) -> bool:
    return bool(stats.kstest(sample, law.cdf).pvalue > LOOKS_INITIAL_P)


def _orthogonal(values: Array, gain: float) -> bool:
    flat = values.reshape(-1, values.shape[-1]) / gain
    product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    return bool(np.abs(product - np.eye(len(product))).max() < ORTHOGONAL)


def _like_another(initializer: Any, values: Array) -> Look:
    """Any other initializer: equal to what it gives, where it gives the same each time; else alike in distribution."""
    reference, again = (
        np.asarray(keras.ops.convert_to_numpy(initializer(values.shape, dtype="float32")), np.float64) for _ in range(2)
    )
    if np.array_equal(reference, again):
        return Look(bool(np.array_equal(values, reference)), exact=True)
    step = max(1, values.size // KERNEL_SAMPLE)
    pair = values.ravel()[::step], reference.ravel()[::step]
    return Look(bool(stats.ks_2samp(*pair).pvalue > LOOKS_INITIAL_P))

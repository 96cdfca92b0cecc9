"""Which trainable parameters still look exactly as their initializers leave them.

Biases and betas at 0 and gammas at 1 are told exactly. Kernels are held against the distribution that their initializer
draws from, by the Kolmogorov-Smirnov test; training moves most kernels far from it within a few steps.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from scipy import stats

from analyzers.case import WeightFacts
from analyzers.statistics import Array
from analyzers.subjects.keras_model import KerasSubject

LOOKS_INITIAL_P = 0.001  # One untrained kernel in a thousand would be called trained: the safe side for this cause.
KERNEL_SAMPLE = 20_000  # Values tested per kernel, evenly spread: enough to tell a one per cent change of spread.
TRUNCATION = 0.87962566103423978  # Standard deviation of a unit normal truncated at 2, by which Keras divides.
CONSTANTS = {"bias": (0.0, 1.0), "beta": (0.0,), "gamma": (1.0,)}  # A forget gate's bias starts at 1.
NORMALIZATION = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def facts(subject: KerasSubject) -> WeightFacts:
    """Look at every layer's own trainable parameters."""
    initial, layers, moved = [], 0, False
    for path, layer in subject.layers:
        own = [v for v in getattr(layer, "_trainable_variables", []) if len(v.shape) or v.name in CONSTANTS]
        if not own:
            continue
        untouched = [_initial(layer, v) for v in own]
        if isinstance(layer, NORMALIZATION):
            moved = moved or not all(untouched)
            continue
        layers += 1
        if all(untouched):
            initial.append(path)
        else:
            moved = moved or any(not u and v.name in CONSTANTS for u, v in zip(untouched, own, strict=True))
    return WeightFacts(layers, initial, moved)


def _initial(layer: Any, variable: Any) -> bool:
    values = np.array(variable).astype(np.float64).ravel()
    for name, constants in CONSTANTS.items():
        if variable.name == name:
            return bool(np.all(np.isin(values, constants)))
    names = (f"{variable.name}_initializer", variable.name.replace("kernel", "initializer"), "depthwise_initializer")
    initializer = next((found for n in names if (found := getattr(layer, n, None)) is not None), None)
    return initializer is not None and _drawn_from(initializer, variable, values)


def _drawn_from(initializer: Any, variable: Any, values: Array) -> bool:
    """Whether `values` look like a draw of the initializer for a variable of this shape."""
    shape = tuple(int(s) for s in variable.shape)
    sample = values[:: max(1, len(values) // KERNEL_SAMPLE)]
    if isinstance(initializer, keras.initializers.VarianceScaling):
        return _looks_scaled(initializer, shape, sample)
    reference = np.asarray(keras.ops.convert_to_numpy(initializer(shape)), dtype=np.float64).ravel()
    if float(np.ptp(reference)) == 0.0:
        return bool(np.array_equal(values, reference))
    return bool(stats.ks_2samp(sample, reference[:: max(1, len(reference) // KERNEL_SAMPLE)]).pvalue > LOOKS_INITIAL_P)


def _looks_scaled(initializer: Any, shape: tuple[int, ...], sample: Array) -> bool:
    receptive = int(np.prod(shape[:-2])) if len(shape) > 2 else 1
    fan_in = (shape[-2] if len(shape) > 1 else shape[0]) * receptive
    fan_out = shape[-1] * receptive
    fan = {"fan_in": fan_in, "fan_out": fan_out}.get(initializer.mode, (fan_in + fan_out) / 2)
    scale = initializer.scale / max(1.0, fan)
    if initializer.distribution == "uniform":
        limit = float(np.sqrt(3.0 * scale))
        law = stats.uniform(-limit, 2 * limit)
    elif initializer.distribution == "truncated_normal":
        law = stats.truncnorm(-2, 2, scale=float(np.sqrt(scale)) / TRUNCATION)
    else:
        law = stats.norm(scale=float(np.sqrt(scale)))
    if np.any((sample < law.support()[0] * 1.000001) | (sample > law.support()[1] * 1.000001)):
        return False
    return bool(stats.kstest(sample, law.cdf).pvalue > LOOKS_INITIAL_P)

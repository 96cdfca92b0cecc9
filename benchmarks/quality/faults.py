"""Mechanisms: what is done to a healthy model, its training or its sample, by how much, and what a right answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from benchmarks.quality import nets
from benchmarks.quality.nets import CLASSES, copy_of, norms, trained

Array = np.ndarray


@dataclass(frozen=True)
class Specimen:
    """What is diagnosed, and what a right answer accepts. `severity` counts from 0, mild."""

    model: Any
    x: Array
    y: Array
    accepted: tuple[str, ...]
    batch_size: int = 32


Make = Callable[[str, int, int, int], Specimen | None]
"""Architecture, seed, severity (0, 1, 2), samples: a specimen, or None where the mechanism does not apply."""


def _base(architecture: str, seed: int, samples: int) -> tuple[Any, Array, Array]:
    x, y = nets.data(architecture, samples, 5000 + seed)
    return copy_of(trained(architecture, seed), keep_optimizer=seed % 2 == 0), x, y


def healthy(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Nothing is wrong."""
    return Specimen(*_base(a, seed, n), ("no_phase_gap", "numerical_noise", "epsilon_dominates"))


def lag(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Momentum far too high for the steps that there were."""
    model = trained(a, seed, momentum=(0.995, 0.998, 0.999)[severity], epochs=(8, 8, 6)[severity])
    x, y = nets.data(a, n, 5000 + seed)
    return Specimen(copy_of(model, seed % 2 == 0), x, y, ("bn_statistics_unconverged",))


def reset(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Statistics back at their start."""
    model, x, y = _base(a, seed, n)
    for norm in norms(model):
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
    return Specimen(model, x, y, ("bn_statistics_never_updated",))


def edited(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Weights pruned after the statistics were taken."""
    model, x, y = _base(a, seed, n)
    share = (0.3, 0.45, 0.6)[severity]
    for layer in list(model._flatten_layers())[1:-1]:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and layer is not model.layers[-1]:
            values = np.array(kernel)
            values[np.abs(values) < np.quantile(np.abs(values), share)] = 0.0
            kernel.assign(values)
    return Specimen(model, x, y, ("bn_statistics_stale",))


def averaged(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Trainable weights of one moment, statistics of an earlier one."""
    early, late = trained(a, seed, epochs=(5, 3, 1)[severity]), trained(a, seed, epochs=10)
    model = copy_of(late, seed % 2 == 0)
    for norm, old in zip(norms(model), norms(early), strict=True):
        norm.moving_mean.assign(old.moving_mean)
        norm.moving_variance.assign(old.moving_variance)
    x, y = nets.data(a, n, 5000 + seed)
    return Specimen(model, x, y, ("bn_statistics_stale",))


def corrupt(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Impossible or absurd values in one layer."""
    model, x, y = _base(a, seed, n)
    norm = norms(model)[seed % len(norms(model))]
    variance = np.array(norm.moving_variance)
    variance[: 1 + severity * 2] = (1e9, -0.7, np.nan)[severity]
    norm.moving_variance.assign(variance)
    return Specimen(model, x, y, ("bn_corrupt_statistics",))


def converted(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Statistics converted wrongly."""
    model, x, y = _base(a, seed, n)
    for norm in norms(model):
        mean, variance = np.array(norm.moving_mean), np.array(norm.moving_variance)
        if severity == 0:
            norm.moving_variance.assign(np.sqrt(variance))
        elif severity == 1:
            norm.moving_mean.assign(variance)
            norm.moving_variance.assign(np.abs(mean))
        else:
            norm.moving_variance.assign(variance**2)
    return Specimen(model, x, y, ("bn_conversion_mismatch",))


def scaled(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Inputs not divided, or standardized where they should not be."""
    model, x, y = _base(a, seed, n)
    factor, offset = ((255.0, 0.0), (2.0, -1.0), (1 / 255, 0.0))[severity]
    return Specimen(model, (x * factor + offset).astype("float32"), y, ("input_scaling_mismatch",))


def shifted(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Gains and offsets of each channel's own."""
    model, x, y = _base(a, seed, n)
    rng = np.random.default_rng(seed)
    size = (0.4, 0.8, 1.2)[severity]
    gain, offset = rng.lognormal(0, size, x.shape[-1]), rng.normal(0, size, x.shape[-1]) * x.std()
    return Specimen(model, (x * gain + offset).astype("float32"), y, ("input_distribution_shift",))


def dropped(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Much dropout before the head, and nothing wrong."""
    model = trained(a, seed, dropout=(0.4, 0.6, 0.75)[severity])
    x, y = nets.data(a, n, 5000 + seed)
    return Specimen(copy_of(model, True), x, y, ("stochastic_layers_expected", "no_phase_gap"))


def untrained(a: str, seed: int, severity: int, n: int) -> Specimen:
    """As built."""
    keras.utils.set_random_seed(seed)
    x, y = nets.data(a, n, 5000 + seed)
    return Specimen(nets.BUILD[a](0.9, 0.0), x, y, ("weights_untrained",))


def inert(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Trained with batch normalization in inference mode."""
    keras.utils.set_random_seed(seed)
    model = nets.BUILD[a](0.9, 0.0)
    for norm in norms(model):
        norm.trainable = False
    x, y = nets.data(a, nets.SAMPLES, 1000 + seed)
    nets.compiled(model).fit(x, y, batch_size=32, epochs=12, verbose=0)
    for norm in norms(model):
        norm.trainable = True
    norms(model)[0].gamma.assign(np.array(norms(model)[0].gamma) * 1.02)
    return Specimen(model, *nets.data(a, n, 5000 + seed), ("bn_trained_in_inference_mode",))


def renamed(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Classes numbered otherwise."""
    model, x, y = _base(a, seed, n)
    order = np.random.default_rng(seed).permutation(CLASSES) if severity else (np.arange(CLASSES) + 1) % CLASSES
    accepted = (
        ("label_mapping_mismatch",)
        if (order != np.arange(CLASSES)).sum() > 2
        else ("label_mapping_mismatch", "no_phase_gap")
    )
    return Specimen(model, x, order[y], accepted)


def misaligned(a: str, seed: int, severity: int, n: int) -> Specimen:
    """Labels shuffled."""
    model, x, y = _base(a, seed, n)
    return Specimen(model, x, np.random.default_rng(seed).permutation(y), ("labels_misaligned",))


def blue_for_red(a: str, seed: int, severity: int, n: int) -> Specimen | None:
    """Colour channels reversed."""
    if a == "mlp":
        return None
    model, x, y = _base(a, seed, n)
    return Specimen(model, x[..., ::-1].copy(), y, ("input_channel_order_mismatch", "label_mapping_mismatch"))


MECHANISMS: dict[str, Make] = {
    f.__name__: f
    for f in (healthy, lag, reset, edited, averaged, corrupt, converted, scaled, shifted, dropped, untrained, inert,
              renamed, misaligned, blue_for_red)
}  # fmt: skip

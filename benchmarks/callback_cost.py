"""What `PhaseGapCheck` costs beside training without it: `python -m benchmarks.callback_cost [--models small large]`.

The median epoch with the callback against without, beside the ratio of two lots without it: how far the machine alone
scatters. What the callback has counted itself is exact where those ratios differ by more than two per cent.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from phasegap import PhaseGapCheck

BUDGET = 0.02


def small() -> tuple[Any, Any, int]:
    """Three convolutions on 32 x 32 images, 64 steps of 32."""
    layers: list[Any] = [keras.Input((32, 32, 3))]
    for width in (16, 32, 64):
        layers += [keras.layers.Conv2D(width, 3, strides=2, padding="same"), keras.layers.BatchNormalization()]
        layers += [keras.layers.ReLU()]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")]
    return keras.Sequential(layers), images(2048, 32), 32


def large() -> tuple[Any, Any, int]:
    """ResNet-50 with its 53 batch normalizations, on 32 x 32 images, 20 steps of 16."""
    model = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=10)
    return model, images(320, 32), 16


def images(samples: int, side: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    return draw.normal(0.5, 2.0, (samples, side, side, 3)).astype("float32"), draw.integers(0, 10, samples)


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._began_s)


def measure(name: str, rounds: int, epochs: int) -> None:
    """Print the cost for one model: fits with it and without by turns, so that a machine's drift meets both."""
    keras.utils.set_random_seed(0)
    model, (x, y), batch_size = {"small": small, "large": large}[name]()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=batch_size, epochs=1, verbose=0)
    without, again, with_it, checks = Clock(), Clock(), Clock(), []

    def fit(callbacks: list[Any]) -> None:
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=callbacks)

    for turn in range(rounds):
        checks.append(PhaseGapCheck(BUDGET, warn=False))
        lots: list[list[Any]] = [[without], [checks[-1], with_it], [again]]
        for callbacks in lots[turn % 3 :] + lots[: turn % 3]:
            fit(callbacks)
    bare_s, checked_s, again_s = (statistics.median(clock.seconds) for clock in (without, with_it, again))
    looked = sum(len(told) for check in checks for told in check._told)
    print(
        f"{name}: {bare_s:.3f} s an epoch, {checked_s:.3f} s with it: ratio {checked_s / bare_s:.3f}, without "
        f"against without {again_s / bare_s:.3f}; by its own account "
        f"{max(check.pace.cost for check in checks):.2%} of the time at most; "
        f"{looked} steps looked at in {rounds} times {epochs} epochs",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--models", nargs="+", default=["small", "large"], choices=["small", "large"])
    options = parser.parse_args()
    for name in options.models:
        measure(name, options.rounds, options.epochs)


if __name__ == "__main__":
    main()

"""What observing costs beside running: `python -m benchmarks.observation_cost [--samples 64] [--rounds 7]`.

Both phases of a convolutional network with moments of every batch-normalizing layer, against the same two passes of the
bare model, by turns, warm. And how the whole diagnosis grows with samples and layers: seconds beside those of twice
as much, whose ratio is 2 where growth is linear, and less where something is paid once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import analyzers
from analyzers.batches.spec import Batch
from analyzers.observation import Observer
from analyzers.sample_moments import sample_moments
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting

SIDE, CLASSES = 96, 4
SAMPLE_STEPS = (64, 128, 256, 512, 1024)
LAYER_STEPS = (4, 8, 16, 32, 64)


def images(samples: int, side: int) -> tuple[Any, Any]:
    """Noise with labels."""
    draw = np.random.default_rng(0)
    return draw.normal(0.5, 2.0, (samples, side, side, 3)).astype("float32"), draw.integers(0, CLASSES, samples)


def plain(blocks: int, side: int, width: int) -> keras.Model:
    """Convolution, batch normalization, activation, so many times, judged by cross-entropy; its statistics lag."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.layers.Input((side, side, 3))
    for _ in range(blocks):
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(width, 3, padding="same")(x)))
    outputs = keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def by_turns(actions: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of each, after a warming round."""
    seconds: list[list[float]] = [[] for _ in actions]
    for number in range(rounds + 1):
        for action, kept in zip(actions, seconds, strict=True):
            began = time.perf_counter()
            action()
            if number:
                kept.append(time.perf_counter() - began)
    return [statistics.median(kept) for kept in seconds]


def observing(samples: int, rounds: int) -> None:
    """Print the cost of observation: of one model, against another of the same architecture that nobody watches."""
    for name in ("ResNet50", "MobileNetV2"):
        make = getattr(keras.applications, name)
        model, bare = (make(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES) for _ in range(2))
        x, _ = images(samples, SIDE)
        with Observer(KerasSubject(model), Batch([x], None, None, ["x"], ["y"]), samples, 0) as observer:
            observer.run(Setting(training=True), keep_changes=True)
            observer.learn_mutable()  # as a diagnosis does: from then on only what a pass changes is put back
            observer.state.restore()

            def observed(watched: Observer = observer) -> None:
                for phase in (False, True):
                    watched.run(Setting(training=phase, record=True))

            def run(plain: Any = bare, batch: Any = x) -> None:
                for phase in (False, True):
                    np.asarray(plain(batch, training=phase))

            watched_s, bare_s = by_turns([observed, run], rounds)
        print(f"{name:12} {samples} x {SIDE} x {SIDE}: observed {watched_s:.2f} s, bare {bare_s:.2f} s, "
              f"ratio {watched_s / bare_s:.2f}", flush=True)  # fmt: skip


def summing(rounds: int) -> None:
    """Print what moments cost where activations lie, against TensorFlow's reductions."""
    for shape in ((64, 48, 48, 64), (64, 12, 12, 512), (3, 112, 112, 64), (256, 32, 3)):
        x = tf.random.normal(shape, 3.0, 2.0)
        over = list(range(1, len(shape) - 1))
        ours, theirs = by_turns(
            [lambda t=x: sample_moments(t, -1), lambda t=x, o=over: [np.asarray(m) for m in tf.nn.moments(t, o)]],
            3 * rounds,
        )
        print(f"moments of {'x'.join(map(str, shape)):14} {1e3 * ours:6.2f} ms, TensorFlow's reductions "
              f"{1e3 * theirs:6.2f} ms, ratio {theirs / ours:.1f}", flush=True)  # fmt: skip


def growing(what: str, steps: tuple[int, ...], make: Callable[[int], tuple[Any, Any, Any]], rounds: int) -> None:
    """Print seconds of a diagnosis at each step, and how many times those of the step before."""
    before = None
    for step in steps:
        model, x, y = make(step)
        seconds = by_turns([lambda m=model, a=x, b=y: analyzers.diagnose(m, a, b)], rounds)[0]
        ratio = f"{seconds / before:5.2f} times the line above" if before else ""
        print(f"{step:6} {what:8} {seconds:7.2f} s  {1e3 * seconds / step:7.1f} ms each  {ratio}", flush=True)
        before = seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    summing(asked.rounds)
    observing(asked.samples, asked.rounds)
    growing("samples", SAMPLE_STEPS, lambda n: (plain(4, 16, 16), *images(n, 16)), 2)
    growing("layers", LAYER_STEPS, lambda n: (plain(n, 16, 16), *images(64, 16)), 2)


if __name__ == "__main__":
    main()

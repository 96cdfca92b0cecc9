"""What shares of the gap cost, and how near they are to full replacement: `python -m benchmarks.attribution_cost`.

For each architecture, with weights drawn at random and a few training steps: the processor time of the attribution in
units of one whole inference pass over the same samples, and the largest difference of a share from the one that
replacing one layer after another gives, each by a whole pass. Processor time, since the machine may be busy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from analyzers import attribution
from analyzers.batches.spec import Batch
from analyzers.observation import Observer
from analyzers.phase import flatten
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting

ARCHITECTURES = ("ResNet50", "MobileNetV2", "EfficientNetB0")
CLASSES, STEPS = 4, 5
REPEATS = 3  # Of the plain pass, of which the fastest counts.


@dataclass(frozen=True)
class Cost:
    """One architecture's figures."""

    layers: int
    passes: float
    largest_difference: float
    unresolved: float
    sum_error: float


def trained(name: str, size: int, samples: int) -> tuple[Any, np.ndarray[Any, Any]]:
    """The architecture after a few steps, whose moving statistics lag behind, and the samples it was trained on."""
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(1).uniform(0, 255, (samples, size, size, 3)).astype("float32")
    model = getattr(keras.applications, name)(weights=None, classes=CLASSES, input_shape=(size, size, 3))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, np.arange(samples) % CLASSES, batch_size=samples, epochs=STEPS, verbose=0)
    return model, x


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of one run, over all threads, and what it returned."""
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


def cost(name: str, size: int, samples: int) -> Cost:
    """Attribute one architecture's gap, and replace its layers one by one."""
    model, x = trained(name, size, samples)
    with Observer(KerasSubject(model), Batch([x], None, None, ["x"], ["y"]), samples, seed=0) as observer:
        inference = observer.run(Setting())
        observer.merge()  # as a diagnosis does once it has seen that samples do not depend on their company
        statistics = observer.run(Setting(batch_statistics=True, record=True))
        layers = dict.fromkeys(statistics.seen, 1.0)
        took, found = seconds(lambda: attribution.attribute(observer, inference, statistics, layers))
        plain = min(seconds(lambda: observer.run(Setting()))[0] for _ in range(REPEATS))
        whole = attribution.Replaced(observer, statistics, list(layers), samples, None)
        base = flatten(inference.outputs)
        change = flatten(statistics.outputs) - base
        worth = [float(np.sum((whole.outputs(n) - base) * change) / np.sum(change**2)) for n in range(1, len(layers))]
    shares = np.diff([0.0, *worth, 1.0])
    difference = np.abs(shares - np.array(list(found.shares.values())))
    off = abs(sum(found.shares.values()) - 1.0)
    return Cost(len(layers), took / plain, float(difference.max()), found.unresolved, off)


def main() -> None:
    """Print one line for each architecture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224, help="width and height of the images")
    parser.add_argument("--samples", type=int, default=8, help="in one batch")
    parser.add_argument("--only", nargs="*", default=ARCHITECTURES)
    chosen = parser.parse_args()
    for name in chosen.only:
        c = cost(name, chosen.size, chosen.samples)
        print(
            f"{name:16} {c.layers:3} layers   {c.passes:5.1f} whole passes   largest difference of a share "
            f"{c.largest_difference:.3f}   unresolved {c.unresolved:.3f}   sum off by {c.sum_error:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()

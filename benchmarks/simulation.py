"""Networks trained on worlds of known tails, and fresh samples of those worlds.

For `benchmarks.calibration` and `benchmarks.power`. A sample is drawn from the world that the network was trained on,
without end, so that a healthy network has no other fault than the noise of its own training.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from benchmarks.ledger import CACHE

CLASSES, COLUMNS, SIDE = 3, 12, 12
BATCH_SIZE = 32
ROWS = 6144  # To train on: seen at most ten times over, so that fresh rows are like those of the last epoch.
LOSS, METRICS = "sparse_categorical_crossentropy", ["accuracy"]

Array = np.ndarray


@dataclass(frozen=True)
class Net:
    """One healthy network: `kind` dense or conv, `tails` of its inputs, how many normalizations, their momentum."""

    kind: str
    tails: str
    norms: int
    momentum: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.tails}-{self.norms}-{self.momentum:g}-{self.seed}"

    def rng(self, *purpose: object) -> np.random.Generator:
        """Random numbers for a purpose, the same on every machine."""
        return np.random.default_rng([zlib.crc32(str(part).encode()) for part in (self.name, *purpose)])


def draw(net: Net, rows: int, *purpose: object) -> tuple[Array, Array]:
    """Fresh inputs (rows, 12) or (rows, 12, 12, 3), float32, and classes (rows,)."""
    rng, world = net.rng("rows", rows, *purpose), net.rng("world")
    y = rng.integers(0, CLASSES, rows).astype("int32")
    x = _table(net.tails, y, rng, world) if net.kind == "dense" else _images(net.tails, y, rng, world)
    return x.astype("float32"), y


def _table(tails: str, y: Array, rng: np.random.Generator, world: np.random.Generator) -> Array:
    """Correlated columns around class centres, in units of their own."""
    centers = world.normal(0, 0.8, (CLASSES, COLUMNS))
    mixing = np.eye(COLUMNS) + world.normal(0, 0.5, (COLUMNS, COLUMNS)) / np.sqrt(COLUMNS)
    shape, unit, offset = (len(y), COLUMNS), world.lognormal(0, 0.5, COLUMNS), world.normal(0, 1.5, COLUMNS)
    if tails == "lognormal":
        return np.asarray(np.exp(0.5 * centers[y] + rng.normal(0, 0.8, shape) @ mixing) * unit)
    degrees = {"student3": 3, "student5": 5}.get(tails)
    noise = rng.normal(0, 1, shape) if degrees is None else rng.standard_t(degrees, shape)
    return np.asarray((centers[y] + noise @ mixing + offset) * unit)


def _images(tails: str, y: Array, rng: np.random.Generator, world: np.random.Generator) -> Array:
    """A bar whose place and colour are the class, on noise; every image has a brightness of its own."""
    base = world.uniform(0.4, 0.6, 3)
    x = base + rng.normal(0, 0.25, (len(y), SIDE, SIDE, 3))
    for i, label in enumerate(y):
        x[i, 4 * label : 4 * label + 3, 2:-2, label % 3] += rng.uniform(0.1, 0.5)
    one = (len(y), 1, 1, 1)
    if tails == "bright":
        return np.asarray(x * rng.lognormal(0, 0.6, one))
    lift = rng.standard_t(3, one) if tails == "student3" else rng.normal(0, 1, one)
    return np.asarray(x + 0.15 * lift)


def built(net: Net) -> Any:
    """The untrained network, with a softmax over the classes."""
    keras.utils.set_random_seed(net.seed)
    image = net.kind == "conv"
    x = inputs = keras.Input((SIDE, SIDE, 3) if image else (COLUMNS,))
    for i in range(net.norms):
        if image:
            x = keras.layers.Conv2D(8 + 2 * i, 3, 2 if i in (1, 3) else 1, "same", use_bias=False)(x)
        else:
            x = keras.layers.Dense(32 if i < 2 else 24, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=net.momentum, name=f"norm_{i}")(x)
        x = keras.layers.ReLU()(x)
    if image:
        x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x), name=net.kind)


def steps_of(net: Net) -> int:
    """Enough that the start's weight is below 1e-8 and the last window of the averages saw settled weights."""
    return 1920 if net.momentum > 0.95 else 960


def trained(net: Net) -> Any:
    """The network, trained once and kept on disk; a fresh copy each time, as a file without optimizer would give it."""
    path = CACHE / "nets" / f"{net.name}.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model, (x, y) = built(net), draw(net, ROWS, "training")
        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps_of(net), alpha=0.01)
        model.compile(keras.optimizers.Adam(rate), LOSS)
        keras.utils.set_random_seed(1000 + net.seed)
        model.fit(x, y, batch_size=BATCH_SIZE, epochs=steps_of(net) * BATCH_SIZE // ROWS, verbose=0)
        model.save(path)
    return keras.models.load_model(path, compile=False)


@functools.cache
def model_of(net: Net) -> Any:
    """The one copy that all diagnoses of this process share: a diagnosis leaves a model as it was."""
    return trained(net)


def normalizations(model: Any) -> list[Any]:
    """The batch-normalizing layers, in order."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]

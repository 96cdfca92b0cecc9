"""The founding case: a ResNet-50 that fits three images and, saved after five steps, gets two of them wrong.

    python examples/founding_case.py            # momentum 0.99, 5 epochs: inference is broken, training phase perfect
    python examples/founding_case.py --twin     # momentum 0.01, 20 epochs: both phases agree
    python examples/founding_case.py --check    # print the figures of both phases; trains only what is not there yet

Writes `model.keras` and `batch.npz` (arrays `x`, `y`) to `examples/out/founding` or `examples/out/founding_twin`. The
three images are drawn here, so nothing is downloaded. All three are one batch: an epoch is a step, and the
batch-normalizing layers have seen exactly as many updates as there were epochs.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

OUT = Path(__file__).resolve().parent / "out"
SIDE = 224  # what ResNet50(weights=None) expects by default
SEED = 1
# Adam at 2e-4 fits three images in five steps whatever the seed; plain SGD at a usual rate does not.
LEARNING_RATE = 2e-4


@dataclass(frozen=True)
class Recipe:
    """How one of the two models is trained, and where it goes."""

    name: str
    momentum: float
    epochs: int

    @property
    def folder(self) -> Path:
        """The folder that holds its model and batch."""
        return OUT / self.name

    @property
    def made(self) -> bool:
        """Whether its two files are there."""
        return (self.folder / "model.keras").exists() and (self.folder / "batch.npz").exists()


FOUNDING = Recipe("founding", momentum=0.99, epochs=5)
TWIN = Recipe("founding_twin", momentum=0.01, epochs=20)


def import_keras() -> Any:
    """Keras, without the lines that TensorFlow's libraries write past Python, which no setting silences."""
    spoken, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        import keras
    finally:
        os.dup2(spoken, 2)
        os.close(spoken)
        os.close(silence)
    return keras


def images(side: int = SIDE) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Draw a disc, stripes and a chequerboard: three images, values 0 to 255, channels last."""
    across = np.linspace(0, 1, side, dtype=np.float32)
    row, column = np.meshgrid(across, across, indexing="ij")
    disc = ((row - 0.5) ** 2 + (column - 0.5) ** 2 < 0.1).astype(np.float32)
    stripes = (np.sin(40 * column) > 0).astype(np.float32)
    chequers = (np.floor(8 * row) + np.floor(8 * column)) % 2
    drawn = [
        (disc, 0.3 * disc, 1 - disc),
        (0.2 * stripes, stripes, np.full_like(column, 0.4)),
        (chequers, chequers * row, 0.1 + 0.2 * column),
    ]
    return np.stack([np.stack(channels, axis=-1) for channels in drawn]).astype(np.float32) * np.float32(255)


def labels() -> np.ndarray[Any, np.dtype[np.int64]]:
    """One class an image."""
    return np.arange(3, dtype=np.int64)


def build(momentum: float, side: int = SIDE) -> Any:
    """A ResNet-50 without pre-trained weights, every batch normalization at `momentum`, compiled."""
    keras = import_keras()
    keras.utils.set_random_seed(SEED)
    model = keras.applications.ResNet50(weights=None, classes=3, input_shape=(side, side, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def train(model: Any, epochs: int) -> dict[str, list[float]]:
    """Fit the three images as one batch; returns Keras' history."""
    # Five steps do not repay the tracing of a graph: eager is twice as fast here. Set after compile(), it is not saved.
    model.run_eagerly = True
    history = model.fit(images(), labels(), batch_size=3, epochs=epochs, shuffle=False, verbose=2)
    model.run_eagerly = False
    return dict(history.history)


def make(recipe: Recipe) -> Path:
    """Train one of the two and save model and batch; returns the folder."""
    model = build(recipe.momentum)
    train(model, recipe.epochs)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(recipe.folder / "batch.npz", x=images(), y=labels())
    # Written beside and renamed: a folder with a model in it is always a finished one.
    model.save(recipe.folder / "unfinished.keras")
    (recipe.folder / "unfinished.keras").replace(recipe.folder / "model.keras")
    return recipe.folder


def make_alone(recipe: Recipe) -> None:
    """`make` as the only thing this process does, so that every run trains the same model."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # for the whole process, so not in `make`, which others call
    folder = os.path.relpath(recipe.folder)
    print(f"training {folder}: {recipe.epochs} epochs on three images", flush=True)
    started = time.monotonic()
    make(recipe)
    print(f"made {folder} in {time.monotonic() - started:.0f} s")


def measure(folder: Path) -> dict[str, float]:
    """Loss and accuracy of both phases of the saved model on the saved batch, and the optimizer's own step count."""
    keras = import_keras()
    model = keras.models.load_model(folder / "model.keras")
    with np.load(folder / "batch.npz") as batch:
        x, y = batch["x"], batch["y"]
    figures = {"updates": float(model.optimizer.iterations.numpy())}
    loss = keras.losses.SparseCategoricalCrossentropy()
    for phase, training in (("inference", False), ("training", True)):
        outputs = model(x, training=training)
        # Keras' own loss on Keras' own tensor: behind a softmax it finds the logits again, as `evaluate` does.
        figures[f"{phase}_loss"] = float(loss(y, outputs))
        figures[f"{phase}_accuracy"] = float((np.asarray(outputs).argmax(axis=1) == y).mean())
    return figures


def show(recipe: Recipe) -> None:
    """Print the figures of both phases of what `make` saved."""
    figures = measure(recipe.folder)
    print(f"{recipe.name}: momentum {recipe.momentum}, {figures['updates']:.0f} updates")
    for phase in ("inference", "training"):
        loss, accuracy = figures[f"{phase}_loss"], figures[f"{phase}_accuracy"]
        print(f"  {phase + ' phase':<16} loss {loss:8.4f}  accuracy {accuracy:.3f}")


def main() -> None:
    """Make or check one of the two models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twin", action="store_true", help="the healthy one instead")
    parser.add_argument(
        "--check", action="store_true", help="print the figures of both phases; train only what is not there yet"
    )
    asked = parser.parse_args()
    recipe = TWIN if asked.twin else FOUNDING
    import_keras()
    if not (asked.check and recipe.made):
        make_alone(recipe)
    show(recipe)


if __name__ == "__main__":
    main()

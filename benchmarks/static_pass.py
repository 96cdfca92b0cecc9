"""How long the static pass takes on large files: `python -m benchmarks.static_pass [--megabytes 100]`.

Writes a network of that size in each format, with weights of noise, and reads each several times. Prints the median of
the pass itself and, beside it, how long Keras takes to load the same file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from analyzers.subjects import load_model
from analyzers.subjects.outline import read_outline
from analyzers.subjects.outline_words import note

WIDTH = 256
REPEATS = 9
BYTES_A_BLOCK = 4 * (WIDTH * WIDTH * 9 + 5 * WIDTH)
"""A convolution of 3 by 3 without bias and its batch normalization, with a bias elsewhere."""


def network(megabytes: float) -> keras.Model:
    """Convolutions with batch normalization between them, about so large."""
    inputs = x = keras.layers.Input((8, 8, WIDTH))
    for _ in range(max(1, int(megabytes * 1e6 / BYTES_A_BLOCK))):
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(WIDTH, 3, padding="same")(x)))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    draw = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(draw.uniform(0.5, 1.5, variable.shape).astype("float32"))
    return model


def measured(path: Path) -> str:
    """One line on one file."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        outline = read_outline(path)
        seconds.append(time.perf_counter() - began)
    line = (
        f"{path.name:14} {path.stat().st_size / 1e6:6.1f} MB   static pass {1e3 * statistics.median(seconds):6.1f} ms"
    )
    if not outline.weights_only:
        began = time.perf_counter()
        load_model(path, outline)
        line += f"   load {1e3 * (time.perf_counter() - began):6.0f} ms"
    return f"{line}   {note(outline)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=100.0)
    model = network(parser.parse_args().megabytes)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("m.keras", "m.h5", "m.weights.h5"):
            path = Path(folder) / name
            (model.save_weights if "weights" in name else model.save)(path)
            print(measured(path), flush=True)


if __name__ == "__main__":
    main()

"""What a guest takes at most against what it cannot do without: `python -m benchmarks.peak_memory`.

The least is the model's weights, the batch, and the outputs of all layers in one pass over one batch. What a guest has
that only starts, Python, TensorFlow and Keras, is most of it shared with its parent and taken off.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Outcome, Task

SIDE, SAMPLES = 128, 32
NAMES = ("MobileNetV2", "ResNet50")
LIMITS = Limits(memory_bytes=8 << 30, wall_seconds=600, output_bytes=4 << 30, cpu_seconds=3600)
MIB = 1 << 20


def least(model: Any, x: Any) -> int:
    """Bytes of weights, batch, and one pass' outputs over the batch."""
    shapes = [t.shape[1:] for layer in model.layers for t in _flat(layer.output)]
    outputs = sum(4 * int(np.prod(shape)) for shape in shapes) * len(x)
    return sum(4 * int(np.prod(w.shape)) for w in model.weights) + int(x.nbytes) + outputs


def _flat(output: Any) -> list[Any]:
    return list(output) if isinstance(output, list | tuple) else [output]


def write(name: str, folder: Path) -> int:
    """An architecture after three steps, with its batch; what it cannot do without."""
    import keras

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3), classes=4)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    draw = np.random.default_rng(0)
    x, y = draw.normal(0.5, 1.0, (SAMPLES, SIDE, SIDE, 3)).astype("float32"), draw.integers(0, 4, SAMPLES)
    model.fit(x, y, batch_size=SAMPLES, epochs=3, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "batch.npz", x=x, y=y)
    return least(model, x)


def run(sandbox: Sandbox, folder: Path, model: Path | None, batch: Path | None) -> Outcome:
    """One guest; without files it starts, finds none, and ends."""
    (folder / "in").mkdir(parents=True)
    for path in filter(None, (model, batch)):
        os.link(path, folder / "in" / path.name)
    task = Task(diagnosis_id="bench", model_file="model.keras", batch_file="batch.npz")
    return sandbox.run(folder, task, LIMITS, on_progress=lambda *_: None, should_stop=lambda: False)


def main() -> None:
    """Measure and print."""
    sandbox = Sandbox()
    sandbox.start()
    try:
        with tempfile.TemporaryDirectory() as place:
            idle = run(sandbox, Path(place, "idle"), None, None).peak_memory_bytes or 0
            print(f"a guest that only starts      {idle / MIB:7.0f} MiB")
            for name in NAMES:
                folder = Path(place, name)
                folder.mkdir()
                needed = write(name, folder)
                outcome = run(sandbox, folder / "job", folder / "model.keras", folder / "batch.npz")
                peak = outcome.peak_memory_bytes or 0
                own = peak - idle
                print(
                    f"{name:12} {outcome.kind}: {peak / MIB:5.0f} MiB, its own {own / MIB:5.0f}, least "
                    f"{needed / MIB:5.0f}, ratio {own / needed:.2f}",
                    flush=True,
                )
    finally:
        sandbox.close()


if __name__ == "__main__":
    main()

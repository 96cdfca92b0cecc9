"""Specimens as SavedModels: written with both phases traced, read again without any of their code."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

L: Any = keras.layers
MECHANISMS = frozenset(
    {"healthy", "healthy_sample", "lag", "never", "stale", "corrupt", "converted", "scaled", "rescaled", "shifted",
     "mapped", "inert", "by_design", "untrained"}
)  # fmt: skip
"""Mechanisms of which some specimens are written so; the others need what only a Keras file says."""


class _Called(tf.Module):  # type: ignore[misc]
    """A model behind `loaded(x, training=...)`, as Keras 2 wrote them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.states = [v.value for v in model.variables]  # Seeds too, which TensorFlow would not find by itself.

    @tf.function  # type: ignore[untyped-decorator]
    def __call__(self, x: Any, training: bool = False) -> Any:
        return self.model(x, training=training)


def write_traced(model: Any, archive: Path, by_endpoints: bool) -> None:
    """Write a model of one input as a zipped SavedModel, its phases as endpoints of an export or behind a call."""
    spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), model.inputs[0].dtype, name=model.inputs[0].name)
    with tempfile.TemporaryDirectory() as folder:
        if by_endpoints:
            export = keras.export.ExportArchive()
            export.track(model)
            export.add_endpoint("serve", lambda x: model(x, training=False), input_signature=[spec])
            export.add_endpoint("train", lambda x: model(x, training=True), input_signature=[spec])
            export.write_out(folder, verbose=False)
        else:
            called = _Called(model)
            for training in (False, True):
                called.__call__.get_concrete_function(spec, training)
            tf.saved_model.save(called, folder)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
                out.write(path, path.relative_to(folder))


def traced_outputs(archive: Path, x: np.ndarray) -> np.ndarray:
    """Outputs of the inference phase of a SavedModel in an archive, in float64."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as stored:
            stored.extractall(folder)
        root = next(Path(folder).rglob("saved_model.pb")).parent
        model = tf.saved_model.load(str(root))
        call = model.serve if hasattr(model, "serve") else lambda a: model(a, training=False)
        return np.asarray(call(tf.constant(x)), "float64")


class ForcedNormalization(L.BatchNormalization):  # type: ignore[misc]
    """Batch normalization that takes every call for training."""

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(x, training=True, mask=mask)


class ForcedDropout(L.Dropout):  # type: ignore[misc]
    """Dropout that takes every call for training."""

    def call(self, x: Any, training: Any = None) -> Any:
        return super().call(x, training=True)


class ForcedNoise(L.GaussianNoise):  # type: ignore[misc]
    """Noise that takes every call for training."""

    def call(self, x: Any, training: Any = None) -> Any:
        return super().call(x, training=True)

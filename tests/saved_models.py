"""SavedModels of every build that the analysis reads, written by TensorFlow and Keras themselves, as archives."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def packed(folder: Path, archive: Path, inside: str = "") -> Path:
    """The files below `folder` as an archive of the kind that its name says, in the folder `inside` of it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = [f"{inside}/{p.relative_to(folder)}".lstrip("/") for p in files]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path, name in zip(files, names, strict=True):
                out.write(path, name)
    else:
        with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as out:
            for path, name in zip(files, names, strict=True):
                out.add(path, name)
    return archive


def unpacked(archive: Path, folder: Path) -> Path:
    """The folder with `saved_model.pb` after unpacking an archive of ours."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
    else:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
    return next(folder.rglob("saved_model.pb")).parent


def specs_of(model: Any) -> list[Any]:
    """The inputs of a Keras model, for any batch size."""
    specs = [tf.TensorSpec((None, *t.shape[1:]), t.dtype, name=t.name) for t in model.inputs]
    return [specs] if len(specs) > 1 else specs


def export(model: Any, folder: Path, phases: Iterable[str] = ("serve", "train")) -> Path:
    """What `keras.export.ExportArchive` writes of a Keras 3 model, with an endpoint for each phase named."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    calls: dict[str, Callable[[Any], Any]] = {
        "serve": lambda x: model(x, training=False),
        "train": lambda x: model(x, training=True),
    }
    for phase in phases:
        archive.add_endpoint(phase, calls[phase], input_signature=specs_of(model))
    archive.write_out(str(folder), verbose=False)
    return folder


class Normalizing(tf.Module):
    """Batch normalization as one writes it oneself: `tf.nn`, or the fused kernel that Keras 2 used for images."""

    def __init__(self, channels: int, momentum: float, epsilon: float, *, fused: bool) -> None:
        super().__init__()
        self.gamma = tf.Variable(np.linspace(0.5, 1.5, channels, dtype="float32"))
        self.beta = tf.Variable(np.zeros(channels, "float32"))
        self.moving_mean = tf.Variable(np.zeros(channels, "float32"), trainable=False)
        self.moving_variance = tf.Variable(np.ones(channels, "float32"), trainable=False)
        self.momentum, self.epsilon, self.fused = momentum, epsilon, fused

    def _stored(self, x: Any) -> Any:
        if self.fused:
            given = (x, self.gamma, self.beta, self.moving_mean, self.moving_variance)
            return tf.compat.v1.nn.fused_batch_norm(*given, epsilon=self.epsilon, is_training=False)[0]
        given = (x, self.moving_mean, self.moving_variance, self.beta, self.gamma)
        return tf.nn.batch_normalization(*given, self.epsilon)

    def _batch(self, x: Any) -> Any:
        if self.fused:
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, self.gamma, self.beta, epsilon=self.epsilon)
        else:
            mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
            y = tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)
        self.moving_mean.assign_sub((self.moving_mean - mean) * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return y

    def __call__(self, x: Any, training: Any) -> Any:
        if isinstance(training, bool):
            return self._batch(x) if training else self._stored(x)
        return tf.cond(training, lambda: self._batch(x), lambda: self._stored(x))


class Network(tf.Module):
    """Convolution, batch normalization, dropout and a head in bare TensorFlow."""

    def __init__(self, momentum: float = 0.9, epsilon: float = 2e-3, dropout: float = 0.0, *, fused: bool) -> None:
        super().__init__()
        draw = np.random.default_rng(3)
        self.kernel = tf.Variable(draw.normal(0, 0.3, (3, 3, 3, 6)).astype("float32"))
        self.norm = Normalizing(6, momentum, epsilon, fused=fused)
        self.last = Normalizing(6, momentum, epsilon, fused=False)
        self.head = tf.Variable(draw.normal(0, 0.5, (6, 4)).astype("float32"))
        self.dropout = dropout

    def run(self, x: Any, training: Any) -> Any:
        """One pass in either phase."""
        x = self.norm(tf.nn.conv2d(x, self.kernel, 2, "SAME"), training)
        x = self.last(tf.reduce_mean(tf.nn.relu(x), [1, 2]), training)
        if self.dropout and training is True:
            x = tf.nn.dropout(x, self.dropout)
        return tf.nn.softmax(x @ self.head)


def save_module(network: Network, folder: Path, batch: int | None = None, *, flag: str = "python") -> Path:
    """Save a network whose `__call__` takes `training` as a Python value, as a tensor, or not at all."""
    spec = tf.TensorSpec((batch, 12, 12, 3), tf.float32, name="image")
    if flag == "none":
        network.__class__ = type("Serving", (Network,), {"__call__": tf.function(lambda self, x: self.run(x, False))})
        network.__call__.get_concrete_function(spec)
    else:
        network.__class__ = type(
            "Both", (Network,), {"__call__": tf.function(lambda self, x, training: self.run(x, training))}
        )
        flags = [tf.TensorSpec((), tf.bool)] if flag == "tensor" else [True, False]
        for value in flags:
            network.__call__.get_concrete_function(spec, value)
    tf.saved_model.save(network, str(folder))
    return folder

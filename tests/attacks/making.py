"""Files for attacks: small good ones, and the tools to spoil them."""

from __future__ import annotations

import io
import json
import linecache
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import saved_model_pb2

from tests.attacks.canaries import SECRET_BYTES, Canaries
from tests.saved_models import packed

Members = Iterable[tuple[str | zipfile.ZipInfo, bytes]]
Config = dict[str, Any]

FEATURES, SAMPLES = 4, 32


def content_of(write: Callable[[Path], Any], name: str) -> bytes:
    """What `write` puts into a file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def saved(model: Any, suffix: str = "keras") -> bytes:
    """A model as a file."""
    return content_of(model.save, f"m.{suffix}")


def model_of(*layers: Any, features: int = FEATURES) -> Any:
    """A model of these layers on a table of numbers."""
    return keras.Sequential([keras.Input((features,)), *layers], name="net")


@cache
def plain(suffix: str = "keras") -> bytes:
    """A good model. Its first layer is `dense`, with as many units as the secret has characters."""
    middle = [keras.layers.BatchNormalization(name="norm"), keras.layers.Dense(3, name="head")]
    return saved(model_of(keras.layers.Dense(SECRET_BYTES, name="dense"), *middle), suffix)


def batch(**changed: np.ndarray) -> bytes:
    """A good batch for it, but for the arrays that are given."""
    draw = np.random.default_rng(0)
    arrays = {"x": draw.normal(size=(SAMPLES, FEATURES)).astype("float32"), **changed}
    return content_of(lambda path: np.savez(path, **arrays), "b.npz")


def members(content: bytes) -> dict[str, bytes]:
    """What is in a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(parts: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with these members, however odd."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return out.getvalue()


def with_members(*extra: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The good model with more in its archive."""
    return zipped([*members(plain()).items(), *extra], compression)


def edited(change: Callable[[Config], Any], content: bytes | None = None) -> bytes:
    """A `.keras` file with its configuration changed; `content` None: the good model's."""
    parts = members(content or plain())
    config = json.loads(parts["config.json"])
    change(config)
    return zipped({**parts, "config.json": json.dumps(config).encode()}.items())


def first_layer(config: Config) -> Config:
    """The layer behind the input in a configuration of the good model."""
    layer: Config = config["config"]["layers"][1]
    return layer


def with_layer(class_name: str, settings: Config, *, of: str = "float32", features: int = FEATURES) -> bytes:
    """A model of one layer of Keras, `sneak`, behind an input of `features` columns of the type `of`."""
    told = {"name": "sneak"} | settings
    layer = {"module": "keras.layers", "class_name": class_name, "config": told, "registered_name": None}

    def change(config: Config) -> None:
        first = config["config"]["layers"][0]
        first["config"] |= {"dtype": of, "batch_shape": [None, features]}
        config["config"] |= {"layers": [first, layer], "build_input_shape": [None, features]}

    return edited(change)


@cache
def plain_of_keras_2() -> bytes:
    """The like as an `.h5` file by Keras 2, which follows what HDF5 offers."""
    layers = [tf_keras.layers.Dense(SECRET_BYTES, name="dense"), tf_keras.layers.BatchNormalization(name="norm")]
    return saved(tf_keras.Sequential([tf_keras.Input((FEATURES,)), *layers], name="net"), "h5")


BIAS_IN_KERAS_2 = "model_weights/dense/dense/bias:0"
"""Where that file keeps the bias of its first layer, which has the length of the secret."""


def hdf5(content: bytes, change: Callable[[h5py.File], Any]) -> bytes:
    """An HDF5 file, changed."""
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        change(file)
    return stream.getvalue()


def weights(change: Callable[[h5py.File], Any]) -> bytes:
    """The good `.keras` file with its weights changed."""
    parts = members(plain())
    return zipped({**parts, "model.weights.h5": hdf5(parts["model.weights.h5"], change)}.items())


def archive_of(module: Any, kind: str = "zip", signatures: Any = None) -> bytes:
    """A SavedModel as an archive."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tf.saved_model.save(module, str(root / "m"), signatures=signatures)
        return packed(root / "m", root / f"m.{kind}").read_bytes()


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar with these members, however odd."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def calling(act: Callable[[Any], Any]) -> Any:
    """A SavedModel that acts whenever it is called with a table of numbers."""

    class Acting(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, FEATURES), tf.float32)])
        def __call__(self, x: Any) -> Any:
            return act(x)

    return Acting()


def function(source: str, canaries: Canaries, arguments: str = "x") -> Any:
    """A lambda that does what `source` says and returns `x`; `{planted}` and `{port}` stand for the canaries."""
    told = source.format(planted=repr(str(canaries.planted)), port=canaries.listener.port)
    return _evaluated(f"lambda {arguments}: ({told}, x)[1]")


def _evaluated(source: str) -> Any:
    """A lambda whose source can be asked for, as Keras does where it warns of one."""
    name = f"<{source}>"
    linecache.cache[name] = (len(source), None, [source + "\n"], name)
    return eval(compile(source, name, "eval"))


PLANTS = "open({planted}, 'w').close()"
CALLS_HOME = "__import__('socket').create_connection(('127.0.0.1', {port}), 2).close()"
STARTS_A_PROGRAM = "__import__('subprocess').run(['touch', {planted}], check=True)"


def telling(canaries: Canaries) -> Any:
    """A lambda that returns the secret, as character codes."""
    opened = f"open({str(canaries.text)!r}, 'rb').read({SECRET_BYTES})"
    return _evaluated(f"lambda x: __import__('keras').ops.convert_to_tensor([[float(c) for c in {opened}]])")


class Pickled:
    """Runs code when it is unpickled."""

    def __init__(self, canaries: Canaries) -> None:
        self.source = f"open({str(canaries.planted)!r}, 'w').close()"

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.source,)


def npy_with(header: str) -> bytes:
    """A `.npy` file with this header and 1 KiB of zeros."""
    line = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(1024)


def npy(shape: tuple[int, ...]) -> bytes:
    """A `.npy` file that says it has this shape."""
    return npy_with(repr({"descr": "<f4", "fortran_order": False, "shape": shape}))


def both_phases(act: Callable[[Any], Any]) -> Any:
    """A SavedModel of two phases that does the same in each."""

    class Both(tf.Module):
        @tf.function
        def __call__(self, x: Any, training: bool) -> Any:
            return act(x) + (0.1 if training else 0.0)

    module = Both()
    for training in (True, False):
        module.__call__.get_concrete_function(tf.TensorSpec((None, FEATURES), tf.float32), training)
    return module


def with_asset(archive: bytes, name: str) -> bytes:
    """A SavedModel whose asset has another file name."""
    parts = members(archive)
    graph = saved_model_pb2.SavedModel()
    graph.ParseFromString(parts["saved_model.pb"])
    for asset in graph.meta_graphs[0].asset_file_def:
        asset.filename = name
    return zipped({**parts, "saved_model.pb": graph.SerializeToString()}.items())

"""What Keras 2 writes beside a SavedModel: `keras_metadata.pb`, one JSON text a layer, keyed by the object's number.

The file's schema (`SavedMetadata` of Keras 2) is not part of TensorFlow, so its wire format is read here: field 1 holds
objects with number (2), path (3), kind (4) and JSON (5).
Source: Protocol Buffers, Encoding; tensorflow/python/keras/protobuf/saved_metadata.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from analyzers.errors import ModelUnreadable, ModelUnsafe
from analyzers.subjects.config_safety import check_compile_settings
from analyzers.subjects.facts import normalized_compile_config, text
from analyzers.subjects.json_text import MAX_BYTES, parse_json

FILE = "keras_metadata.pb"
OBJECT, NUMBER, PLACE, KIND, TEXT = 1, 2, 3, 4, 5
NO_LAYERS = ("_tf_keras_metric", "_tf_keras_input_layer")
MAX_OBJECTS = 50_000
"""As in configurations: no real model has as many layers, metrics and cells."""


@dataclass(frozen=True)
class Described:
    """One layer as its metadata have it. `node` is its number in the object graph; `place` its attribute path."""

    node: int
    place: str
    name: str
    class_name: str
    trainable: bool
    stateful: bool
    config: dict[str, Any]


@dataclass(frozen=True)
class Metadata:
    """All layers in the file's order, the model itself first, and its compile settings as Keras 3 writes them."""

    layers: list[Described]
    compile_config: dict[str, Any] | None
    keras_version: str | None = None

    def path(self, layer: Described) -> str:
        """The names from the outermost model inwards."""
        names = {d.place: d.name for d in self.layers}
        steps = layer.place.split(".")
        above = [p for i in range(1, len(steps)) if (p := ".".join(steps[:i])) in names]
        return "/".join([*(names[p] for p in above), layer.name])


def read_metadata(folder: Path) -> Metadata | None:
    """The metadata of the SavedModel in `folder`; None where it has none.

    Raises:
        ModelUnreadable: the file is damaged.
        ModelUnsafe: it is absurdly large, or its compile settings hold code.
    """
    path = folder / FILE
    if not path.exists():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise ModelUnsafe(f"The SavedModel's {FILE} is larger than {MAX_BYTES >> 20} MiB. No real model's is.")
    layers, compile_config, version = [], None, None
    for place, kind, number, written in _objects(path.read_bytes()):
        if kind.startswith("_tf_keras_") and kind not in NO_LAYERS:
            content = parse_json(written, FILE)
            layers.append(_described(number, place, content))
            if place == "root":
                check_compile_settings(_settings(content))
                compile_config = normalized_compile_config(_modern(_settings(content)))
                version = text(content.get("keras_version"))
    return Metadata(layers, compile_config, version) if layers else None


def _objects(content: bytes) -> Iterator[tuple[str, str, int, bytes]]:
    """Path, kind, number and JSON of every object."""
    try:
        for count, (_, inner) in enumerate(f for f in _fields(content) if f[0] == OBJECT):
            if count >= MAX_OBJECTS or not isinstance(inner, bytes):
                raise ValueError("too many objects, or none")
            found = dict(_fields(inner))
            place, kind, text = (found.get(f, b"") for f in (PLACE, KIND, TEXT))
            number = found.get(NUMBER, 0)
            if isinstance(place, bytes) and isinstance(kind, bytes) and isinstance(text, bytes):
                yield place.decode(), kind.decode(), number if isinstance(number, int) else 0, text
    except (ValueError, IndexError) as error:
        raise ModelUnreadable(f"The SavedModel's {FILE} is damaged. Send it again.") from error


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a message: number and value, bytes for what has a length."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            if kind != 2:
                raise ValueError("unknown wire type")
            size, at = _varint(content, at)
        if at + size > len(content):
            raise ValueError("cut short")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("endless number")


def _described(number: int, place: str, content: dict[str, Any]) -> Described:
    config = content.get("config")
    name = content.get("name")
    settings = _plain(config) if isinstance(config, dict) else {}
    if isinstance(settings.get("axis"), list) and len(settings["axis"]) == 1:
        settings["axis"] = settings["axis"][0]  # as Keras 2 writes the axis of batch normalization
    return Described(
        node=number,
        place=place,
        name=name if isinstance(name, str) else place.rpartition(".")[2],
        class_name=str(content.get("class_name", "Layer")),
        trainable=content.get("trainable") is not False,
        stateful=content.get("stateful") is True,
        config=settings,
    )


def _plain(value: Any) -> Any:
    """JSON with Keras 2's tuples as lists."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(value.get("items"), list):
        return _plain(value["items"])
    return {k: _plain(v) for k, v in value.items()}


def _settings(content: dict[str, Any]) -> dict[str, Any]:
    settings = content.get("training_config")
    return settings if isinstance(settings, dict) else {}


def _modern(settings: dict[str, Any]) -> dict[str, Any]:
    """Compile settings of Keras 2 in the form of Keras 3: functions by name, losses with the module they are in."""
    return {key: _rewritten(settings.get(key)) for key in ("loss", "metrics", "weighted_metrics", "loss_weights")}


def _rewritten(value: Any) -> Any:
    if isinstance(value, list):
        items = [_rewritten(v) for v in value]
        return items[0] if len(items) == 1 and isinstance(items[0], list) else items
    if not isinstance(value, dict):
        return value
    name, config = value.get("class_name"), value.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        return {k: _rewritten(v) for k, v in value.items()}
    if name in ("MeanMetricWrapper", "LossFunctionWrapper") and isinstance(config.get("fn"), str):
        name = "".join(part.capitalize() for part in config["fn"].split("_"))  # the class that wraps this function
    for part in ("losses", "metrics"):
        if hasattr(getattr(keras, part), name):
            kept = {k: v for k, v in config.items() if k not in ("fn", "reduction")}
            return {"module": f"keras.{part}", "class_name": name, "config": kept, "registered_name": None}
    return config.get("fn") or config.get("name")

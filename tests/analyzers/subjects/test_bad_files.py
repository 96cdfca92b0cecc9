"""What people send by mistake, and files that came to harm: each says what it is, what was found, what to send."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from model_files import disturb, functional, refused

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects.keras_errors import explained

FOUND = f"Found in the file: a full model by Keras {keras.__version__} with 4 layers, 1 of them BatchNormalization."
SEND = "Send a .keras file or a full-model .h5 file"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model in both formats."""
    folder, model = tmp_path_factory.mktemp("whole"), functional()
    disturb(model)
    for name in ("m.keras", "m.h5"):
        model.save(folder / name)
    return folder


def edited(
    source: Path,
    path: Path,
    drop: Iterable[str] = (),
    change: dict[str, Callable[[bytes], bytes]] | None = None,
    inside: str = "",
) -> Path:
    """A copy of an archive without some members, with others changed, all in a folder `inside` of it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            if info.filename not in drop:
                content = (change or {}).get(info.filename, bytes)(old.read(info))
                new.writestr(inside + info.filename, content)
    return path


def other_shapes(content: str | bytes) -> bytes:
    config = json.loads(content)
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer["config"]["units"] = 7
    return json.dumps(config).encode()


@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
def test_files_that_were_cut_short_say_how_much_came(part: float, whole: Path, tmp_path: Path) -> None:
    for name in ("m.keras", "m.h5"):
        content = (whole / name).read_bytes()
        kept = int(len(content) * part)
        (tmp_path / name).write_bytes(content[:kept])
        says = f"{kept:,} of {len(content):,} bytes" if name == "m.h5" else "as .keras files are, but its table"
        refused(tmp_path / name, ModelUnreadable, says, f"{kept:,}", "end it again")


def test_archives_without_a_member_say_which_and_what_they_have(whole: Path, tmp_path: Path) -> None:
    path = edited(whole / "m.keras", tmp_path / "a.keras", drop=["config.json"])
    refused(path, ModelUnreadable, "no config.json", "only the weights of 3 layers", "send model.weights.h5 by itself")
    path = edited(whole / "m.keras", tmp_path / "b.keras", drop=["model.weights.h5"])
    refused(path, ModelUnreadable, "no model.weights.h5", "architecture without its weights", FOUND, "model.save(")


@pytest.mark.parametrize("spoilt", [lambda c: c[: len(c) // 2], lambda c: b"[1, 2]", lambda c: b"\xff" + c])
def test_damaged_configurations(spoilt: Callable[[bytes], bytes], whole: Path, tmp_path: Path) -> None:
    path = edited(whole / "m.keras", tmp_path / "m.keras", change={"config.json": spoilt})
    refused(path, ModelUnreadable, "config.json", "damaged", "Send it again, or save the model again")


def test_damaged_weights_in_an_archive(whole: Path, tmp_path: Path) -> None:
    change: dict[str, Callable[[bytes], bytes]] = {"model.weights.h5": lambda c: c[: len(c) // 2]}
    refused(edited(whole / "m.keras", tmp_path / "a.keras", change=change), ModelUnreadable, "cut short", FOUND)
    change = {"model.weights.h5": lambda c: b"no HDF5 at all" * 99}
    refused(edited(whole / "m.keras", tmp_path / "b.keras", change=change), ModelUnreadable, "model.weights.h5", FOUND)


def test_weights_of_other_shapes_than_the_configuration(whole: Path, tmp_path: Path) -> None:
    path = edited(whole / "m.keras", tmp_path / "m.keras", change={"config.json": other_shapes})
    shutil.copy(whole / "m.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file.attrs["model_config"] = other_shapes(file.attrs["model_config"]).decode()
    for each in (path, tmp_path / "m.h5"):
        refused(each, ModelUnreadable, "weights that do not fit the layers", "7)", FOUND, "model.save(")


def test_a_configuration_without_weights_in_hdf5(whole: Path, tmp_path: Path) -> None:
    with h5py.File(whole / "m.h5") as file, h5py.File(tmp_path / "m.h5", "w") as new:
        new.attrs["model_config"] = file.attrs["model_config"]
    refused(tmp_path / "m.h5", ModelUnreadable, "a configuration but no weights", "with 4 layers", "model.save(")


def test_models_packed_a_level_too_deep(whole: Path, tmp_path: Path) -> None:
    path = edited(whole / "m.keras", tmp_path / "a.zip", inside="model/")
    refused(path, UnsupportedModelFormat, "in a folder", "zip its files")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(whole / "m.keras", "models/m.keras")
    refused(tmp_path / "b.zip", UnsupportedModelFormat, "'m.keras'", "send that file itself")


def test_saved_models_without_variables_or_of_tensorflow_1(tmp_path: Path) -> None:
    functional().export(str(tmp_path / "m"), verbose=False)
    shutil.rmtree(tmp_path / "m" / "variables")
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "m"))
    refused(path, ModelUnreadable, "variables, but their values are missing", "Pack the whole folder")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4))
        y = x @ tf.compat.v1.get_variable("v", (4, 2))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "old"), {"x": x}, {"y": y})
    path = Path(shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "old"))
    refused(path, ModelUnreadable, "TensorFlow 1", "tf.saved_model.save")


SAFETENSORS = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
FOREIGN: dict[str, tuple[bytes, str]] = {
    "m.pkl": (b"\x80\x05\x95\x10\x00", "a pickle"),
    "m.onnx": (b"\x08\x07\x12\x07pytorch\x1a\x05", "an ONNX"),
    "m.tflite": (b"\x1c\x00\x00\x00TFL3\x14\x00", "a TensorFlow Lite model"),
    "m.safetensors": (len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(8), "a safetensors file"),
    "m.gguf": (b"GGUF\x03\x00\x00\x00", "a GGUF model"),
    "frozen.pb": (b"\n\x10\n\x01x\x12\x0bPlaceholder", "pack the whole folder of the SavedModel"),
    "saved_model.pb": (b"\x08\x01\x12\xff\xff", "pack the whole folder of the SavedModel"),
    "m.7z": (b"7z\xbc\xaf\x27\x1c", "an archive of another kind"),
    "m.h5.gz": (gzip.compress(b"\x89HDF\r\n\x1a\n" * 99), "unpack it first"),
    "b.csv": (b"a,b,y\n1,2,0\n", "were the two files swapped?"),
    "b.npy": (b"\x93NUMPY\x01\x00", "were the two files swapped?"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_kinds(name: str, tmp_path: Path) -> None:
    content, look = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, UnsupportedModelFormat, look, SEND)


def test_archives_of_other_kinds_and_batches(tmp_path: Path) -> None:
    packed: dict[str, Any] = {"m.pt": ("m/data.pkl", "PyTorch"), "b.npz": ("x.npy", "were the two files swapped?")}
    for name, (member, look) in packed.items():
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(member, b"content")
        (tmp_path / name).write_bytes(out.getvalue())
        refused(tmp_path / name, UnsupportedModelFormat, look, SEND)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"], file["y"] = np.ones((3, 4)), np.ones(3)
    refused(tmp_path / "b.h5", UnsupportedModelFormat, "holds `x`, `y`", "were the two files swapped?", "model.save(")


def test_what_keras_says_is_quoted_without_the_places_of_modules_and_files() -> None:
    said = "Attempt to convert (<class 'tensorflow.python.data_structures._DictWrapper'>, <class 'int'>) at /a/b/c.py"
    with pytest.raises(ModelUnreadable) as raised, explained("cannot be built", quote=True):
        raise TypeError(said)
    assert str(raised.value).endswith("Keras says: Attempt to convert (`_DictWrapper`, `int`) at ….")

"""Model files that must not load: code, foreign classes, ways out of the file, absurd sizes, other formats."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_files import L, edited_archive, refused

from analyzers.errors import (
    AnalysisError,
    ModelNeedsCustomCode,
    ModelUnreadable,
    ModelUnsafe,
)
from analyzers.subjects import load_model

SUFFIXES = ("keras", "h5")


class Custom(L.Layer):
    """A class whose code does not travel."""

    def call(self, inputs: Any) -> Any:
        return inputs


def odd(values: Any) -> Any:
    """A function whose code does not travel."""
    return values


@pytest.mark.filterwarnings("ignore:The object being serialized")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("layer", "place"),
    [
        (lambda: L.Lambda(lambda x: x, name="twice"), "`twice`"),
        (lambda: keras.Sequential([L.Input((4,)), L.Lambda(lambda x: x, name="deep")], name="inner"), "`inner/deep`"),
        (lambda: L.Dense(2, activation=lambda x: x, name="active"), "`active`"),
        (lambda: L.TimeDistributed(L.Lambda(lambda x: x, name="step"), name="wrap"), "`wrap/step`"),
    ],
)
def test_lambdas_are_refused_with_the_name_of_their_layer(
    layer: Callable[[], Any], place: str, suffix: str, tmp_path: Path
) -> None:
    shape = (3, 4) if "wrap" in place else (4,)
    keras.Sequential([L.Input(shape), layer()]).save(tmp_path / f"m.{suffix}")
    refused(tmp_path / f"m.{suffix}", ModelUnsafe, place, "lambda", "keras.ops")


@pytest.mark.filterwarnings("ignore:The object being serialized")
def test_a_lambda_as_loss_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([L.Input((4,)), L.Dense(2)])
    model.compile("sgd", loss=lambda a, b: keras.ops.mean(a - b))
    model.save(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", ModelUnsafe, "compiled with", "lambda")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_custom_classes_and_functions_are_named(suffix: str, tmp_path: Path) -> None:
    keras.Sequential([L.Input((4,)), Custom(), L.Dense(2)]).save(tmp_path / f"c.{suffix}")
    keras.Sequential([L.Input((4,)), L.Dense(2, activation=odd)]).save(tmp_path / f"f.{suffix}")
    refused(tmp_path / f"c.{suffix}", ModelNeedsCustomCode, "`Custom`")
    refused(tmp_path / f"f.{suffix}", ModelNeedsCustomCode, "`odd`")


def layer_config(config: dict[str, Any]) -> dict[str, Any]:
    return config["config"]["layers"][1]


def _tfsm(config: dict[str, Any]) -> None:
    layer_config(config).update(class_name="TFSMLayer", config={"filepath": "somewhere", "name": "sm"})


def _torch(config: dict[str, Any]) -> None:
    layer_config(config).update(class_name="TorchModuleWrapper", config={"module": "AAAA", "name": "tm"})


def _get_file(config: dict[str, Any]) -> None:
    layer_config(config)["config"]["activation"] = {
        "module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file",
    }  # fmt: skip


def _unlock(config: dict[str, Any]) -> None:
    layer_config(config)["config"]["kernel_initializer"] = {
        "module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}, "registered_name": None,
    }  # fmt: skip


def _vocabulary(config: dict[str, Any]) -> None:
    layer_config(config).update(class_name="StringLookup", config={"name": "words", "vocabulary": "https://host/list"})


def _huge(config: dict[str, Any]) -> None:
    layer_config(config)["config"]["units"] = 1 << 60


def _giant_name(config: dict[str, Any]) -> None:
    layer_config(config)["config"]["name"] = "n" * 100_000


def _climbing_name(config: dict[str, Any]) -> None:
    layer_config(config)["config"]["name"] = "../../up"


def _many(config: dict[str, Any]) -> None:
    config["config"]["layers"] += [{"class_name": "Dense", "config": {"name": f"d{i}"}} for i in range(60_000)]


def _deep(config: dict[str, Any]) -> None:
    place = config["config"]
    for _ in range(300):
        place["more"] = {}
        place = place["more"]


@pytest.mark.parametrize(
    "change", [_tfsm, _torch, _get_file, _unlock, _vocabulary, _huge, _giant_name, _climbing_name, _many, _deep]
)
def test_configurations_that_no_model_has(change: Callable[[dict[str, Any]], None], plain: Path) -> None:
    refused(edited_archive(plain, change), ModelUnsafe)


@pytest.mark.parametrize("module", ["os", "builtins_evil", "keras_hub.models", "tensorflow.python.ops", None])
def test_modules_that_are_not_keras_are_never_imported(module: str | None, plain: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer_config(config).update(module=module, class_name="system", registered_name="system")

    refused(edited_archive(plain, change), ModelNeedsCustomCode, "`system`")


def with_members(source: Path, *extra: tuple[str | zipfile.ZipInfo, bytes], **options: Any) -> Path:
    path = source.with_name("more.keras")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", **options) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
        for name, content in extra:
            new.writestr(name, content)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_lead_outside_or_say_things_twice(plain: Path) -> None:
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    for extra in [("config.json", b"{}"), ("../up", b""), ("/root", b""), ("assets/../../up", b""), (link, b"up")]:
        refused(with_members(plain, extra), ModelUnsafe)


def test_archives_of_absurd_size(plain: Path) -> None:
    bomb = with_members(plain, ("assets/zeros", bytes(32 << 20)), compression=zipfile.ZIP_DEFLATED)
    refused(bomb, ModelUnsafe, "declares 32 MiB")
    refused(with_members(plain, *((f"assets/{i}", b"") for i in range(3000))), ModelUnsafe, "members")


def test_a_member_that_lies_about_its_size(plain: Path) -> None:
    content = bytearray(plain.read_bytes())
    entry = content.rfind(b"PK\x01\x02")  # the last member's entry in the directory; its unpacked size stands at 24
    size = int.from_bytes(content[entry + 24 : entry + 28], "little")
    content[entry + 24 : entry + 28] = (size * 2).to_bytes(4, "little")
    plain.write_bytes(bytes(content))
    refused(plain, ModelUnsafe, "two different sizes")


def test_a_member_that_is_missing(plain: Path) -> None:
    for missing in ("config.json", "model.weights.h5"):
        path = plain.with_name("less.keras")
        with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
            for info in old.infolist():
                if info.filename != missing:
                    new.writestr(info.filename, old.read(info))
        refused(path, ModelUnreadable, missing)


def test_a_key_that_stands_twice(plain: Path) -> None:
    with zipfile.ZipFile(plain) as old:
        content = old.read("config.json").decode()
    path = edited_archive(plain, lambda config: None)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            twice = '{"class_name": "Sequential", ' + content[1:]
            new.writestr(info.filename, twice if info.filename == "config.json" else old.read(info))
    refused(path, ModelUnsafe, "twice")


def _external_link(file: h5py.File, dataset: str, other: Path) -> None:
    file[dataset] = h5py.ExternalLink(str(other), "x")


def _soft_link(file: h5py.File, dataset: str, other: Path) -> None:
    file[dataset] = h5py.SoftLink(dataset)


def _external_storage(file: h5py.File, dataset: str, other: Path) -> None:
    file.create_dataset(dataset, (5,), "float32", external=[(str(other), 0, 20)])


def _virtual(file: h5py.File, dataset: str, other: Path) -> None:
    layout = h5py.VirtualLayout((5,), "float32")
    layout[:] = h5py.VirtualSource(str(other), "x", (5,))
    file.create_virtual_dataset(dataset, layout)


def _shape_bomb(file: h5py.File, dataset: str, other: Path) -> None:
    file.create_dataset(dataset, (1 << 40,), "float32", chunks=(1 << 20,))


def _loop(file: h5py.File, dataset: str, other: Path) -> None:
    file[dataset] = file["/"]


@pytest.mark.parametrize("spoil", [_external_link, _soft_link, _external_storage, _virtual, _shape_bomb, _loop])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_that_lead_out_of_the_file(
    spoil: Callable[..., None], suffix: str, plain: Path, plain_h5: Path
) -> None:
    other = plain.with_name("secret.h5")
    with h5py.File(other, "w") as file:
        file["x"] = np.ones(5, dtype="float32")
    content = io.BytesIO(plain_h5.read_bytes() if suffix == "h5" else zipfile.ZipFile(plain).read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        dataset = "layers/dense/vars/1" if suffix == "keras" else "model_weights/extra"
        if dataset in file:
            del file[dataset]
        spoil(file, dataset, other)
    path = plain.with_name(f"spoilt.{suffix}")
    if suffix == "h5":
        path.write_bytes(content.getvalue())
    else:
        with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
            for name in ("metadata.json", "config.json"):
                new.writestr(name, old.read(name))
            new.writestr("model.weights.h5", content.getvalue())
    refused(path, ModelUnsafe)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), suffix=st.sampled_from(SUFFIXES))
def test_flipped_bits_are_refused_or_harmless(
    place: float, value: int, suffix: str, plain: Path, plain_h5: Path
) -> None:
    content = bytearray((plain if suffix == "keras" else plain_h5).read_bytes())
    content[int(place * len(content))] ^= value
    path = plain.with_name(f"flipped.{suffix}")
    path.write_bytes(bytes(content))
    assert str(plain.parent) not in said_of(path)


def said_of(path: Path) -> str:
    """What loading says, "" where the damage did no harm; anything but an `AnalysisError` goes through."""
    try:
        load_model(path)
    except AnalysisError as error:
        return str(error)
    return ""


def test_names_that_claim_to_be_keras_own_are_looked_at(plain: Path) -> None:
    def shadow(config: dict[str, Any]) -> None:
        layer_config(config)["registered_name"] = "evil>Dense"

    def evaluate(config: dict[str, Any]) -> None:
        called = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
        layer_config(config)["config"]["activation"] = called

    refused(edited_archive(plain, shadow), ModelNeedsCustomCode, "`evil>Dense`")
    refused(edited_archive(plain, evaluate), ModelNeedsCustomCode, "`eval`", "`dense")


def test_something_before_the_archive_is_refused(plain: Path) -> None:
    plain.write_bytes(plain.read_bytes() + plain.read_bytes())
    refused(plain, ModelUnsafe, "bytes before its first member")

"""Archives and graphs that reach outside of the model, damaged ones, and those that are too much."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from analyzers.errors import (
    AnalysisError,
    ModelNeedsCustomCode,
    ModelUnreadable,
    ModelUnsafe,
    UnsupportedModelFormat,
)
from analyzers.subjects import load_model
from analyzers.subjects.saved_model_archive import repack, unpack
from tests.saved_models import Network, packed, save_module


def refused(path: Path, kind: type[AnalysisError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        load_model(path)
    text = str(caught.value)
    assert [w for w in words if w not in text] == []
    assert str(path.parent) not in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of both phases, and good."""
    return save_module(Network(fused=True), tmp_path_factory.mktemp("good") / "m")


@pytest.fixture
def edited(folder: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """An archive of the good SavedModel with its graph changed."""

    def edit(change: Callable[[Any], None]) -> Path:
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((folder / "saved_model.pb").read_bytes())
        change(saved)
        path = packed(folder, tmp_path / "whole.zip")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "edited.zip", "w") as new:
            for info in old.infolist():
                graph = info.filename == "saved_model.pb"
                new.writestr(info.filename, saved.SerializeToString() if graph else old.read(info))
        return tmp_path / "edited.zip"

    return edit


class Reader(tf.Module):
    """Reads a file whenever it is called."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def __call__(self, x: Any) -> Any:
        return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


class Writer(tf.Module):
    """Writes one, inside of a loop."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def __call__(self, x: Any) -> Any:
        def body(i: Any, y: Any) -> Any:
            tf.io.write_file("canary", "sung")
            return i + 1, y + 1.0

        return tf.while_loop(lambda i, _: i < 2, body, (tf.constant(0), x))[1]


class Printer(tf.Module):
    """Prints to a file."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def __call__(self, x: Any) -> Any:
        tf.print(x, output_stream="file://canary")
        return x


class Caller(tf.Module):
    """Calls Python."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def __call__(self, x: Any) -> Any:
        return tf.py_function(lambda v: v, [x], tf.float32)


class Restorer(tf.Module):
    """Reads another checkpoint, as only a SavedModel's own restoring may."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def __call__(self, x: Any) -> Any:
        return x + tf.raw_ops.RestoreV2(
            prefix="canary", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
        )[0]  # fmt: skip


class Vocabulary(tf.Module):
    """Fills a table from a file when it is loaded, before anything is called."""

    def __init__(self, path: str) -> None:
        super().__init__()
        initializer = tf.lookup.TextFileInitializer(
            path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def __call__(self, x: Any) -> Any:
        return self.table.lookup(x)


ACTS = {Reader: "ReadFile", Writer: "WriteFile", Printer: "PrintV2", Caller: "PyFunc", Restorer: "RestoreV2"}


@pytest.mark.parametrize("kind", ACTS)
def test_operations_that_reach_outside_are_refused(kind: type[tf.Module], tmp_path: Path) -> None:
    tf.saved_model.save(kind(), str(tmp_path / "m"))
    refused(packed(tmp_path / "m", tmp_path / "m.zip"), ModelUnsafe, ACTS[kind], "reaches outside")
    assert not Path("canary").exists()


def test_a_file_read_at_load_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    tf.saved_model.save(Vocabulary(str(tmp_path / "words.txt")), str(tmp_path / "m"))
    refused(packed(tmp_path / "m", tmp_path / "m.zip"), ModelUnsafe, "InitializeTableFromTextFile")


def test_printing_to_the_console_is_let_be(tmp_path: Path) -> None:
    class Talker(Network):
        def run(self, x: Any, training: Any) -> Any:
            tf.print("a batch")
            return super().run(x, training)

    upload = packed(save_module(Talker(fused=False), tmp_path / "m"), tmp_path / "m.zip")
    assert load_model(upload).format == "saved_model"


def test_graphs_of_other_makers_are_refused(edited: Callable[..., Path]) -> None:
    def no_objects(saved: Any) -> None:
        saved.meta_graphs[0].ClearField("object_graph_def")

    def two_graphs(saved: Any) -> None:
        saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])

    def strange_operation(saved: Any) -> None:
        saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="x", op="MyVeryOwnOp")

    def climbing_asset(saved: Any) -> None:
        saved.meta_graphs[0].asset_file_def.add(filename="../../etc/passwd")

    refused(edited(no_objects), ModelUnreadable, "TensorFlow 1")
    refused(edited(two_graphs), ModelUnreadable, "2 graphs")
    refused(edited(strange_operation), ModelNeedsCustomCode, "MyVeryOwnOp")
    refused(edited(climbing_asset), ModelUnsafe, "outside")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_cut_and_garbled_files_are_refused(share: float, folder: Path, tmp_path: Path) -> None:
    for kind in ("zip", "tar.gz"):
        content = packed(folder, tmp_path / f"whole.{kind}").read_bytes()
        (tmp_path / f"cut.{kind}").write_bytes(content[: int(share * len(content))])
        with pytest.raises((ModelUnreadable, UnsupportedModelFormat)):
            load_model(tmp_path / f"cut.{kind}")


def test_a_garbled_graph_or_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    graph = (folder / "saved_model.pb").read_bytes()
    data = (folder / "variables" / "variables.data-00000-of-00001").read_bytes()
    members = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    rng = np.random.default_rng(0)
    for name, content in {"saved_model.pb": rng.bytes(len(graph)), "variables/variables.index": b"",
                          "variables/variables.data-00000-of-00001": data[: len(data) // 2]}.items():  # fmt: skip
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
            for member, kept in members.items():
                file.writestr(member, content if member == name else kept)
        refused(tmp_path / "bad.zip", ModelUnreadable)


def tar_with(path: Path, *infos: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info in infos:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


@pytest.mark.parametrize("name", ["../m/saved_model.pb", "/m/saved_model.pb", "m/../../saved_model.pb", "C:/m/x"])
def test_members_outside_of_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    refused(tar_with(tmp_path / "t.tar.gz", tarfile.TarInfo(name)), ModelUnsafe, "outside")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(name, b"x")
        archive.writestr("m/saved_model.pb", b"x")
    refused(tmp_path / "z.zip", ModelUnsafe, "outside")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("m/variables/variables.index")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(tar_with(tmp_path / "t.tar.gz", info), ModelUnsafe, "link or device")


def test_doubled_names_files_as_folders_and_several_models_are_refused(tmp_path: Path) -> None:
    names = ("m/saved_model.pb", "./m/saved_model.pb")
    refused(tar_with(tmp_path / "a.tar.gz", *map(tarfile.TarInfo, names)), ModelUnsafe, "two members")
    names = ("m", "m/saved_model.pb")
    refused(tar_with(tmp_path / "b.tar.gz", *map(tarfile.TarInfo, names)), ModelUnsafe, "at once")
    names = ("m/saved_model.pb", "n/saved_model.pb")
    refused(tar_with(tmp_path / "c.tar.gz", *map(tarfile.TarInfo, names)), UnsupportedModelFormat, "2 SavedModel")
    text = tar_with(tmp_path / "d.tar.gz", tarfile.TarInfo("m/saved_model.pbtxt"))
    refused(text, ModelUnreadable, "as text")


def test_bombs_and_crowds_are_refused(tmp_path: Path) -> None:
    bomb = tar_with(tmp_path / "bomb.tar.gz", tarfile.TarInfo("m/saved_model.pb"), content=bytes(40 << 20))
    assert bomb.stat().st_size < 1 << 20
    refused(bomb, ModelUnsafe, "unpacks")
    crowd = tar_with(tmp_path / "crowd.tar.gz", *(tarfile.TarInfo(f"m/{i}") for i in range(2001)), content=b"")
    refused(crowd, ModelUnsafe, "members")


def test_what_other_systems_add_is_passed_over(folder: Path, tmp_path: Path) -> None:
    upload = packed(folder, tmp_path / "m.zip", inside="my model")
    with zipfile.ZipFile(upload, "a") as archive:
        archive.writestr("__MACOSX/my model/._saved_model.pb", b"x")
        archive.writestr("my model/.DS_Store", b"x")
    assert load_model(upload).format == "saved_model"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_packing_again_keeps_what_is_not_replaced(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("saved_model.pb", "variables/variables.index", "assets/note", "variables/variables.data-0-of-2"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode() * 50)
    upload = packed(source, tmp_path / f"u.{kind}", inside="m")
    (tmp_path / "fresh").write_bytes(b"other")
    contents = {"variables/variables.index": tmp_path / "fresh", "variables/variables.data-0-of-2": None,
                "variables/added": tmp_path / "fresh"}  # fmt: skip
    for copy in ("a", "b"):
        kept = repack(upload, tmp_path / f"{copy}.{kind}", "m", contents)
        assert sorted(kept) == ["m/assets/note", "m/saved_model.pb"]
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    out = tmp_path / "out"
    assert unpack(tmp_path / f"a.{kind}", out) == "m"
    found = {str(p.relative_to(out / "m")): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert found == {
        "saved_model.pb": b"saved_model.pb" * 50,
        "assets/note": b"assets/note" * 50,
        "variables/variables.index": b"other",
        "variables/added": b"other",
    }

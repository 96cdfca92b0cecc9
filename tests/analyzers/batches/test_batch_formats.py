"""JSON, HDF5, CSV and Parquet batches, and files of other formats sent by mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from analyzers.batches import read_batch
from analyzers.errors import AnalysisError, BatchMismatch, BatchUnreadable, UnsupportedBatchFormat


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        ({"x": [[1, 2], [3, 4]], "y": [0, 1]}, {""}),
        ({"instances": [[1, 2], [3, 4]], "y": [0, 1], "signature_name": "s"}, {""}),
        ({"inputs": [[1, 2], [3, 4]], "y": [0, 1]}, {""}),
        ({"instances": [{"a": [1], "b": [2]}, {"a": [3], "b": [4]}], "y": [0, 1]}, {"a", "b"}),
        ({"inputs": {"a": [[1], [2]], "b": [[3], [4]]}, "y": [0, 1]}, {"a", "b"}),
        ({"x": {"a": [[1], [2]]}, "x_b": [[3], [4]], "y": [0, 1]}, {"a", "b"}),
    ],
)
def test_json_in_all_its_forms(document: dict[str, object], keys: set[str], tmp_path: Path) -> None:
    raw = read_batch(written(tmp_path / "b.json", json.dumps(document)))
    assert set(raw.x) == keys
    assert {array.shape[0] for array in raw.x.values()} == {2}
    assert raw.y[""].tolist() == [0, 1]


def test_json_reads_nan_for_the_check_of_values(tmp_path: Path) -> None:
    raw = read_batch(written(tmp_path / "b.json", '{"x": [[1.0, NaN]]}'))
    assert np.isnan(raw.x[""][0, 1])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"x": [[1, 2], [3]]}', r"ragged: at \[0\] it has 2 values, at \[1\] 1 values"),
        ('{"x": [[[1, 2], [3]]]}', r"ragged: at \[0, 0\]"),
        ('{"x": [[1, null]]}', "null"),
        ('{"x": [1], "x": [2]}', "twice"),
        ("[1, 2]", "no object"),
        ('{"x": ' + "[" * 50 + "]" * 50 + "}", "levels deep"),
        ('{"x": ' + "[" * 200_000, "levels deep"),
        ('{"x": [1' + "0" * 5000 + "]}", "thousands of digits"),
        ('{"x": [1' + "0" * 400 + "]}", "too large"),
        ('{"x": [1, }', "line 1"),
        ('{"y": [1]}', "no array `x`"),
        ("", "empty"),
        (b'{"x": [1]}\xff', "UTF-8"),
        ('{"instances": [{"a": 1}, {"b": 1}]}', "same inputs"),
    ],
)
def test_json_that_cannot_be_a_batch(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BatchUnreadable, match=complaint):
        read_batch(written(tmp_path / "b.json", text))


def test_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("x_image", data=np.ones((3, 4, 4, 1)), compression="gzip")
        file["y"] = np.arange(3)
        file.create_group("notes")
    raw = read_batch(tmp_path / "b.h5")
    assert raw.x["image"].shape == (3, 4, 4, 1)
    assert raw.y[""].tolist() == [0, 1, 2]


def external_link(file: h5py.File, other: Path) -> None:
    file["x"] = h5py.ExternalLink(str(other), "x")


def soft_link_loop(file: h5py.File, other: Path) -> None:
    file["x"] = h5py.SoftLink("/y")
    file["y"] = h5py.SoftLink("/x")


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("x", (4,), "uint8", external=[(str(other), 0, 4)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((2,), "float64")
    layout[:] = h5py.VirtualSource(str(other), "x", (2,))
    file.create_virtual_dataset("x", layout)


def unwritten(file: h5py.File, other: Path) -> None:
    file.create_dataset("x", (1 << 27,), "float32", chunks=(1 << 20,))


def references(file: h5py.File, other: Path) -> None:
    file.create_dataset("x", data=[file.ref], dtype=h5py.ref_dtype)


def group(file: h5py.File, other: Path) -> None:
    file.create_group("x")


@pytest.mark.parametrize(
    "make", [external_link, soft_link_loop, external_storage, virtual, unwritten, references, group]
)
def test_hdf5_reaches_nothing_outside_the_file(make, tmp_path: Path) -> None:
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones(2)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        make(file, other)
    with pytest.raises(BatchUnreadable) as caught:
        read_batch(tmp_path / "b.h5")
    assert "secret" not in str(caught.value)


def test_csv_takes_y_as_labels_and_leaves_row_numbers_out(tmp_path: Path) -> None:
    raw = read_batch(written(tmp_path / "b.csv", ",a,y,b,sample_weight\n0,1,0,2.5,1\n1,3,1,4.5,2\n"))
    assert raw.columns == ("a", "b")
    assert raw.x[""].tolist() == [[1, 2.5], [3, 4.5]]
    assert raw.y[""].tolist() == [0, 1]
    assert raw.sample_weight is not None


def _with_array_of_labels(folder: Path, suffix: str) -> Path:
    """The inputs in `x`, the labels in `goal`, and something else in `y`."""
    path = folder / f"b{suffix}"
    arrays = {"x": np.ones((2, 3)), "goal": np.array([1, 0]), "y": np.array([7, 7])}
    if suffix == ".npz":
        np.savez(path, **arrays)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    else:
        path.write_text(json.dumps({k: v.tolist() for k, v in arrays.items()}))
    return path


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".json"])
def test_named_labels_outside_of_tables(suffix: str, tmp_path: Path) -> None:
    path = _with_array_of_labels(tmp_path, suffix)
    assert read_batch(path, "goal").y[""].tolist() == [1, 0]
    assert read_batch(path, "y").y[""].tolist() == [7, 7]
    with pytest.raises(BatchUnreadable, match=r"no array `target`.*`goal`"):
        read_batch(path, "target")


def test_inputs_alone_have_no_labels_to_name(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.ones((2, 3)))
    with pytest.raises(BatchUnreadable, match="inputs alone"):
        read_batch(tmp_path / "b.npy", "goal")
    assert read_batch(tmp_path / "b.npy", "y").y == {}


def test_csv_with_a_named_label_column(tmp_path: Path) -> None:
    path = written(tmp_path / "b.csv", "a,target,y\n1,0,5\n3,1,6\n")
    assert read_batch(path, "target").columns == ("a", "y")
    with pytest.raises(BatchUnreadable, match=r"no column `goal`.*`a`, `target`, `y`"):
        read_batch(path, "goal")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,y\n1,red\n", "`y` holds text"),
        ("a,a\n1,2\n", "two columns named `a`"),
        ("1.5,2.5\n1,2\n", "header"),
        ("a,b\n1,2\n3\n", "different lengths"),
        ("a;b\n1;2\n", "separator"),
        ("y\n1\n", "no feature columns"),
        ("a,b\n1,2020-01-01\n", "`b` holds date"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-8"),
        ("a,y\n1,\0\n", "`y` holds"),
    ],
)
def test_csv_that_cannot_be_a_batch(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BatchUnreadable, match=complaint):
        read_batch(written(tmp_path / "b.csv", text))


def test_empty_cells_are_named(tmp_path: Path) -> None:
    with pytest.raises(BatchMismatch, match=r"`b` has 1 empty cells, the first in row 1"):
        read_batch(written(tmp_path / "b.csv", "a,b\n1,2\n3,\n"))


def test_parquet(tmp_path: Path) -> None:
    table = pyarrow.table({"a": [1.0, 2.0], "flag": [True, False], "y": [0, 1], "__index_level_0__": [0, 1]})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    raw = read_batch(tmp_path / "b.parquet")
    assert raw.columns == ("a", "flag")
    assert raw.x[""].tolist() == [[1, 1], [2, 0]]


def test_parquet_that_repeats_one_value_is_judged_by_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzers.batches.limits.MAX_ARRAY_BYTES", 1 << 31)
    rows = pyarrow.array(np.zeros(3_000_000, dtype="int8"))
    table = pyarrow.table({f"c{index}": rows for index in range(100)})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(BatchUnreadable, match="declares"):
        read_batch(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("name", "content", "look"),
    [
        ("b.npz", b"<!DOCTYPE html><html>", "HTML"),
        ("b.npz", b"\x80\x04\x95aaaa", "pickle"),
        ("b.csv", b"version https://git-lfs.github.com/spec/v1", "LFS"),
        ("b.json", b"\x89PNG\r\n", "image"),
        ("b.txt", b"1 2 3", "txt"),
        ("b", b"1 2 3", "no suffix"),
    ],
)
def test_other_formats_are_told_apart(name: str, content: bytes, look: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedBatchFormat, match=look):
        read_batch(written(tmp_path / name, content))


@pytest.mark.parametrize("name", ["b.npz", "b.npy", "b.h5", "b.json", "b.csv", "b.parquet"])
def test_noise_is_refused_without_a_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError) as caught:
        read_batch(written(tmp_path / name, b"\x07" + os.urandom(500)))
    assert str(tmp_path) not in str(caught.value)

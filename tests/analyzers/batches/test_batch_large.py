"""Batches that are not held in memory: mapped in place or unpacked to a file, and the same in every value."""

from __future__ import annotations

import resource
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest

from analyzers.batches import TensorSpec, fit_batch, read_batch
from analyzers.batches.lazy import LazyArray, changed
from analyzers.errors import BatchMismatch, BatchUnreadable, OutOfMemory

X = np.random.default_rng(0).normal(size=(60, 7)).astype("float32")
Y = np.arange(60) % 3


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every array count as too large to hold."""
    monkeypatch.setattr("analyzers.batches.scratch.IN_MEMORY_BYTES", 0)
    monkeypatch.setattr("analyzers.batches.values.IN_MEMORY_BYTES", 0)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def stored(path: Path) -> Path:
    np.savez(path.with_suffix(".npz"), x=X, y=Y)
    return path.with_suffix(".npz")


def deflated(path: Path) -> Path:
    np.savez_compressed(path.with_suffix(".npz"), x=X, y=Y)
    return path.with_suffix(".npz")


def plain(path: Path) -> Path:
    np.save(path.with_suffix(".npy"), X)
    return path.with_suffix(".npy")


def by_columns(path: Path) -> Path:
    np.save(path.with_suffix(".npy"), np.asfortranarray(X))
    return path.with_suffix(".npy")


def h5_in_one_piece(path: Path) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["x"], file["y"] = X, Y
    return path.with_suffix(".h5")


def h5_in_chunks(path: Path) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file.create_dataset("x", data=X, chunks=(16, 3), compression="gzip")
        file["y"] = Y
    return path.with_suffix(".h5")


def table() -> pyarrow.Table:
    columns = {"Unnamed: 0": np.arange(60), **{f"c{i}": X[:, i].astype("float64") for i in range(7)}, "y": Y}
    return pyarrow.table(columns)


def parquet(path: Path) -> Path:
    pyarrow.parquet.write_table(table(), path.with_suffix(".parquet"), row_group_size=13)
    return path.with_suffix(".parquet")


def csv(path: Path) -> Path:
    pyarrow.csv.write_csv(table(), path.with_suffix(".csv"))
    return path.with_suffix(".csv")


IN_PLACE = [stored, plain, h5_in_one_piece]
UNPACKED = [deflated, by_columns, h5_in_chunks, parquet, csv]


@pytest.mark.parametrize("write", [*IN_PLACE, *UNPACKED])
def test_what_is_mapped_is_what_was_written(write, tmp_path: Path, scratch: Path) -> None:
    raw = read_batch(write(tmp_path / "b"), scratch=scratch)
    x = raw.x[""]
    assert isinstance(x, np.memmap)
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, X)
    assert bool(list(scratch.iterdir())) == (write in UNPACKED)
    if raw.y:
        assert raw.y[""].dtype.kind == "i"
        np.testing.assert_array_equal(raw.y[""], Y)


def test_chunks_that_span_all_rows_are_unpacked_one_by_one(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyzers.batches.hdf5.PIECE_BYTES", 64)
    monkeypatch.setattr("analyzers.batches.hdf5.MAX_CHUNK_BYTES", 480)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(60, 2), compression="gzip")
    np.testing.assert_array_equal(read_batch(tmp_path / "b.h5", scratch=scratch).x[""], X)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(60, 7), compression="gzip")
    with pytest.raises(BatchUnreadable, match="in chunks of"):
        read_batch(tmp_path / "c.h5", scratch=scratch)


def test_another_type_is_made_row_by_row(tmp_path: Path, scratch: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (20, 4, 4, 3), dtype="uint8")
    np.savez(tmp_path / "b.npz", x=pictures)
    raw = read_batch(tmp_path / "b.npz", scratch=scratch)
    batch = fit_batch(raw, [TensorSpec("image", (None, 4, 4, 3), "float32")], [])
    x = batch.x[0]
    assert isinstance(x, LazyArray)
    assert (x.shape, x.dtype, len(x)) == (pictures.shape, np.dtype("float32"), 20)
    rows = np.array([7, 3, 7])
    np.testing.assert_array_equal(x[rows], pictures[rows].astype("float32"))
    halved = changed(x, lambda part: part / np.float32(2))
    np.testing.assert_array_equal(halved[2:4], pictures[2:4].astype("float32") / 2)


@pytest.mark.parametrize("piece_bytes", [1, 1000])
def test_checks_walk_over_all_pieces(
    piece_bytes: int, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyzers.batches.lazy.PIECE_BYTES", piece_bytes)
    x = X.astype("float64")
    x[41, 5], x[59, 0] = np.nan, np.inf
    np.save(tmp_path / "b.npy", x)
    spec = TensorSpec("table", (None, 7), "float32")
    with pytest.raises(BatchMismatch, match=r"1 NaN and 1 infinite of 420, the first at index \(41, 5\)"):
        fit_batch(read_batch(tmp_path / "b.npy", scratch=scratch), [spec], [])
    x[41, 5], x[59, 0] = 0, 1e39
    np.save(tmp_path / "b.npy", x)
    with pytest.raises(BatchMismatch, match=r"as float32 has .* 1 infinite of 420, the first at index \(59, 0\)"):
        fit_batch(read_batch(tmp_path / "b.npy", scratch=scratch), [spec], [])


def test_damage_in_a_mapped_member_is_found(tmp_path: Path, scratch: Path) -> None:
    path = stored(tmp_path / "b")
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("x.npy").header_offset + 600
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BatchUnreadable, match="damaged"):
        read_batch(path, scratch=scratch)


def test_no_room_to_unpack_is_said_before_anything_is_written(tmp_path: Path, scratch: Path) -> None:
    path = deflated(tmp_path / "b")
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, kept[1]))
    try:
        with pytest.raises(OutOfMemory, match="may put aside"):
            read_batch(path, scratch=scratch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("name", ["b.csv", "b.parquet"])
def test_whole_numbers_that_would_lose_their_last_digits_are_refused(name: str, tmp_path: Path, scratch: Path) -> None:
    ids = pyarrow.table({"id": [2**53 + 1, 1], "price": [0.5, 1.5]})
    write = pyarrow.csv.write_csv if name == "b.csv" else pyarrow.parquet.write_table
    write(ids, tmp_path / name)
    with pytest.raises(BatchMismatch, match=r"`id` holds whole numbers beyond .* in \.npz"):
        read_batch(tmp_path / name, scratch=scratch)

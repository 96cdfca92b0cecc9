"""NumPy files: what is read as it was written, and what is refused before anything is allocated or unpickled."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analyzers.batches import read_batch
from analyzers.errors import AnalysisError, BatchUnreadable


def npy_bytes(shape: str, descr: str = "'<f4'", data: bytes = b"") -> bytes:
    """An `.npy` file with any header, however wrong."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zip_of(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    array=hnp.arrays(
        dtype=st.sampled_from(["float16", "float32", "float64", "int8", "int64", "uint8", "bool"]),
        shape=hnp.array_shapes(min_dims=1, max_dims=5, max_side=4),
    )
)
def test_arrays_come_back_as_they_were_written(array: np.ndarray, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "b.npz", x=array, y=array)
    raw = read_batch(tmp_path / "b.npz")
    assert raw.x[""].dtype == array.dtype
    assert raw.x[""].tobytes() == array.tobytes() == raw.y[""].tobytes()


def test_names_become_keys_and_strangers_stay_out(tmp_path: Path) -> None:
    one = np.ones((2, 3), dtype="float32")
    np.savez(tmp_path / "b.npz", x_0=one, x_second=one, y_head=one, sample_weight=one[:, 0], comment=one)
    raw = read_batch(tmp_path / "b.npz")
    assert set(raw.x) == {"0", "second"}
    assert set(raw.y) == {"head"}
    assert raw.sample_weight is not None


def test_npy_is_the_input(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    raw = read_batch(tmp_path / "b.npy")
    assert raw.x[""][1].tolist() == [3, 4, 5]
    assert raw.y == {}


def test_content_decides_over_the_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x=np.ones((2, 2)))
    renamed = (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    assert read_batch(renamed).x[""].shape == (2, 2)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (Path("unpickled"),))


def test_objects_are_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "b.npz", x=np.array([Bomb()], dtype=object))
    np.save(tmp_path / "b.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "hidden.npy").write_bytes(npy_bytes("(1,)", "'|O'", pickle.dumps(Bomb())))
    for name in ("b.npz", "b.npy", "hidden.npy"):
        with pytest.raises(BatchUnreadable, match="pickle"):
            read_batch(tmp_path / name)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    "shape",
    ["(536870912,)", "(99999999999, 99999999999)", "(-1, 4)", "(1 << 80,)", "(" + "1," * 40 + ")", "((1, 2),)", "'x'"],
)
def test_a_header_that_lies_about_the_shape_is_refused(shape: str, tmp_path: Path) -> None:
    (tmp_path / "b.npy").write_bytes(npy_bytes(shape, data=b"\0" * 900))
    zip_of(tmp_path / "b.npz", {"x.npy": npy_bytes(shape, data=b"\0" * 900)})
    for name in ("b.npy", "b.npz"):
        with pytest.raises(BatchUnreadable):
            read_batch(tmp_path / name)


def test_two_gib_in_a_small_file_are_refused_by_their_header(tmp_path: Path) -> None:
    zip_of(tmp_path / "b.npz", {"x.npy": npy_bytes("(536870912,)", data=b"\0" * 700)})
    assert (tmp_path / "b.npz").stat().st_size < 1024
    with pytest.raises(BatchUnreadable, match=r"2147483648 bytes.*cut short"):
        read_batch(tmp_path / "b.npz")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    size = 80 << 20
    content = npy_bytes(f"({size // 4},)", data=b"\0" * size)
    with pytest.raises(BatchUnreadable, match=r"declares 80 MiB"):
        read_batch(zip_of(tmp_path / "b.npz", {"x.npy": content}, zipfile.ZIP_DEFLATED))


def test_a_deep_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.npy").write_bytes(npy_bytes("(" * 3000 + ")" * 3000))
    with pytest.raises(BatchUnreadable):
        read_batch(tmp_path / "b.npy")


def test_the_same_array_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("x.npy", npy_bytes("(0,)"))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", npy_bytes("(0,)"))
    with pytest.raises(BatchUnreadable, match="same name"):
        read_batch(tmp_path / "b.npz")


def test_without_x_the_names_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", images=np.ones(3), labels=np.ones(3))
    with pytest.raises(BatchUnreadable, match=r"no array `x`; it has `images`, `labels`"):
        read_batch(tmp_path / "b.npz")


def test_labels_under_another_name_are_not_dropped_in_silence(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x=np.ones(3), labels=np.ones(3))
    with pytest.raises(BatchUnreadable, match="Name the labels `y`"):
        read_batch(tmp_path / "b.npz")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_named_and_never_leaks_a_path(data: st.DataObject, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.arange(60.0).reshape(6, 10), y=np.arange(6))
    content = bytearray(buffer.getvalue())
    cut = data.draw(st.integers(5, len(content)))
    place = data.draw(st.integers(4, cut - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "b.npz"
    path.write_bytes(bytes(content[:cut]))
    assert str(tmp_path) not in said_of(path)


def said_of(path: Path) -> str:
    """What reading says, "" where the damage did no harm; anything but an `AnalysisError` goes through."""
    try:
        read_batch(path)
    except AnalysisError as error:
        return str(error)
    return ""

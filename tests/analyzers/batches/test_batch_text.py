"""Text in a batch: read from every format that can hold it, and told from numbers."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from analyzers.batches import RawBatch, TensorSpec, fit_batch, read_batch
from analyzers.errors import BatchMismatch, BatchUnreadable

WORDS = ["good film", "", "übel"]
TEXT = TensorSpec("review", (None, 1), "string")
NUMBER = TensorSpec("price", (None, 1), "float32")
CODE = TensorSpec("code", (None,), "string")


def npz(folder: Path) -> Path:
    np.savez(folder / "b.npz", x=np.array(WORDS))
    return folder / "b.npz"


def npz_of_bytes(folder: Path) -> Path:
    np.savez(folder / "b.npz", x=np.array([w.encode() for w in WORDS]))
    return folder / "b.npz"


def as_json(document: object):
    def write(folder: Path) -> Path:
        (folder / "b.json").write_text(json.dumps(document))
        return folder / "b.json"

    return write


def h5_free(folder: Path) -> Path:
    with h5py.File(folder / "b.h5", "w") as file:
        file.create_dataset("x", data=WORDS, dtype=h5py.string_dtype())
    return folder / "b.h5"


def h5_fixed(folder: Path) -> Path:
    with h5py.File(folder / "b.h5", "w") as file:
        file["x"] = np.array([w.encode() for w in WORDS])
    return folder / "b.h5"


def csv(folder: Path) -> Path:
    (folder / "b.csv").write_text("anything\n" + "\n".join(f'"{w}"' for w in WORDS) + "\n")
    return folder / "b.csv"


def parquet(folder: Path) -> Path:
    table = pyarrow.table({"anything": pyarrow.array(WORDS).dictionary_encode()})
    pyarrow.parquet.write_table(table, folder / "b.parquet")
    return folder / "b.parquet"


BASE64 = ["Z29vZCBmaWxt", "", "w7xiZWw="]
SERVED = as_json({"instances": [{"b64": text} for text in BASE64]})


@pytest.mark.parametrize(
    "write",
    [
        npz,
        npz_of_bytes,
        as_json({"x": WORDS}),
        as_json({"instances": WORDS}),
        as_json({"instances": [{"review": w} for w in WORDS]}),
        as_json({"inputs": {"review": [[w] for w in WORDS]}}),
        SERVED,
        h5_free,
        h5_fixed,
        csv,
        parquet,
    ],
)
def test_text_comes_back_from_every_format(write, tmp_path: Path) -> None:
    batch = fit_batch(read_batch(write(tmp_path)), [TEXT], [])
    assert batch.x[0].shape == (3, 1)
    found = [t.decode() if isinstance(t, bytes) else str(t) for t in batch.x[0][:].ravel()]
    assert found == WORDS


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"x": ["a", 1]}, "mixes text"),
        ({"x": [1, "a"]}, "mixes text"),
        ({"x": ["a", None]}, "mixes text"),
        ({"x": [["a", "b"], ["c"]]}, r"ragged: at \[0\] it has 2 values"),
        ({"x": [{"b64": "?"}]}, "base64"),
    ],
)
def test_json_that_is_no_array_of_text(document: object, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BatchUnreadable, match=complaint):
        read_batch(as_json(document)(tmp_path))


def test_a_table_is_split_into_the_inputs_of_its_columns(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("price,review,code,y\n1.5,fine,007,1\n2,bad,011,0\n")
    batch = fit_batch(read_batch(tmp_path / "b.csv"), [TEXT, NUMBER, CODE], [])
    review, price, code = batch.x
    assert review[:].tolist() == [["fine"], ["bad"]]
    assert price[:].tolist() == [[1.5], [2.0]]
    assert code[:].tolist() == ["007", "011"]  # as it stands in the file: the number 7 is another word


def test_a_table_that_lacks_an_input_says_so(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("cost,review\n1.5,fine\n2,bad\n")
    with pytest.raises(
        BatchMismatch, match=r"column of its name from a table: `review`, `price`.*Missing: `price`.*Unknown: `cost`"
    ):
        fit_batch(read_batch(tmp_path / "b.csv"), [TEXT, NUMBER], [])


def test_a_column_of_text_among_numbers_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text('a,b\n1,"=cmd|calc!A1"\n')
    with pytest.raises(BatchMismatch, match="`b` holds text, not numbers"):
        fit_batch(read_batch(tmp_path / "b.csv"), [TensorSpec("table", (None, 2), "float32")], [])


def test_whole_numbers_of_single_columns_keep_all_their_digits(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("id,price\n9007199254740993,0.5\n1,2.5\n")
    batch = fit_batch(read_batch(tmp_path / "b.csv"), [TensorSpec("id", (None, 1), "int64"), NUMBER], [])
    assert batch.x[0][:].tolist() == [[9007199254740993], [1]]


def test_text_and_numbers_are_not_taken_for_each_other() -> None:
    with pytest.raises(BatchMismatch, match=r"wants text, the batch has int64"):
        fit_batch(RawBatch(x={"": np.arange(3)}), [TEXT], [])
    with pytest.raises(BatchMismatch, match="holds text, and the model wants numbers"):
        fit_batch(RawBatch(x={"": np.array(["1", "2"], dtype=object)}), [NUMBER], [])


def test_strings_of_free_length_that_unpack_without_end_are_refused(tmp_path: Path) -> None:
    """Five thousand entries may refer to one string of a megabyte; read at once they would take 5 GB."""
    path = tmp_path / "b.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=["a" * (1 << 20)] + ["b"] * 4999, dtype=h5py.string_dtype())
        offset = file["x"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset : offset + 16 * 5000] = bytes(content[offset : offset + 16]) * 5000
    path.write_bytes(bytes(content))
    with pytest.raises(BatchUnreadable, match="256 MiB of text"):
        read_batch(path)


def reviews_in(path: Path, texts: list[str]) -> Path:
    if path.suffix == ".csv":
        path.write_text("review,price\n" + "".join(f"{text},1.5\n" for text in texts))
    else:
        pyarrow.parquet.write_table(pyarrow.table({"review": texts, "price": [1.5] * len(texts)}), path)
    return path


@pytest.mark.parametrize("name", ["b.csv", "b.parquet"])
def test_a_table_with_text_is_held_however_large(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzers.batches.scratch.IN_MEMORY_BYTES", 0)
    path = reviews_in(tmp_path / name, ["fine", "bad"])
    review, price = fit_batch(read_batch(path, scratch=tmp_path), [TEXT, NUMBER], []).x
    assert (review[:].tolist(), price[:].tolist()) == ([["fine"], ["bad"]], [[1.5], [1.5]])
    monkeypatch.setattr("analyzers.batches.tables.MAX_TEXT_BYTES", 10)
    with pytest.raises(BatchUnreadable, match=r"has text \(`review`\).*send fewer samples"):
        read_batch(path, scratch=tmp_path)


def test_a_text_that_stands_in_many_rows_is_counted_before_it_is_unpacked(tmp_path: Path) -> None:
    """Parquet stores it once: 1 MiB in the file, 4 GiB in memory."""
    path, rows = tmp_path / "b.parquet", pyarrow.array(np.zeros(4096, dtype="int32"))
    table = pyarrow.table({"review": pyarrow.DictionaryArray.from_arrays(rows, ["a" * (1 << 20)])})
    pyarrow.parquet.write_table(table, path, store_schema=False)
    assert pyarrow.parquet.read_schema(path).field("review").type == pyarrow.string()
    pool = pyarrow.default_memory_pool()
    most = pool.max_memory()
    with pytest.raises(BatchUnreadable, match="256 MiB of text"):
        read_batch(path)
    assert pool.max_memory() < most + (1 << 26)


def test_short_strings_count_with_what_python_needs_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyzers.batches.limits.MAX_TEXT_BYTES", 140)
    with pytest.raises(BatchUnreadable, match="50 bytes beside each string"):
        read_batch(h5_free(tmp_path))


def test_a_column_whose_kind_changes_far_down_is_read_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzers.batches.tables.CSV_BLOCK_BYTES", 1 << 10)
    path = tmp_path / "b.csv"
    path.write_text("a,b\n" + "1,2\n" * 1000 + "0.5,2\n")
    assert read_batch(path).x[""][-1].tolist() == [0.5, 2.0]
    monkeypatch.setattr("analyzers.batches.scratch.IN_MEMORY_BYTES", 0)
    (tmp_path / "scratch").mkdir()
    assert read_batch(path, scratch=tmp_path / "scratch").x[""][-1].tolist() == [0.5, 2.0]
    path.write_text("a,b\n" + "1,2\n" * 1000 + "1,red\n")
    with pytest.raises(BatchUnreadable, match="Column 2 of the CSV begins with numbers and then has `red`"):
        read_batch(path, scratch=tmp_path / "scratch")


def test_columns_may_be_named_as_arrays_are(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("x_review,x_price\nfine,1\nbad,2\n")
    assert fit_batch(read_batch(tmp_path / "b.csv"), [TEXT, NUMBER], []).x[1][:].tolist() == [[1.0], [2.0]]


def test_a_table_of_numbers_that_no_input_takes_is_told_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("price,cost,id\n1,2,3\n4,5,6\n")
    cost = TensorSpec("cost", (None, 1), "float32")
    with pytest.raises(BatchMismatch, match=r"`price`, `cost`. Unknown: `id`; rename or leave out"):
        fit_batch(read_batch(tmp_path / "b.csv"), [NUMBER, cost], [])

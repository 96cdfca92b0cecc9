"""A text of a megabyte that stands in a million rows and once in the file."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import content_of

ATTACK = Attack("unpack to a terabyte of text", "batch_unreadable", MEMORY, ("of text",), "batch")

ROWS, LENGTH = 1_000_000, 1_000_000


def make(canaries: Canaries) -> Upload:
    rows = pa.repeat(pa.scalar(0, pa.int32()), ROWS)
    table = pa.table({"words": pa.DictionaryArray.from_arrays(rows, pa.array(["a" * LENGTH]))})
    return Upload(batch=content_of(lambda path: pq.write_table(table, path), "b.parquet"), batch_name="batch.parquet")

"""How large a batch may be, and the checks that hold a file to it before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analyzers.errors import BatchUnreadable

MAX_ARRAY_BYTES = 1 << 33
"""8 GiB of numbers in one batch, unpacked. It is time that bounds this and not memory, since large arrays are mapped: a
diagnosis reads the batch twenty to a hundred times in its ten minutes, and from a disk that gives 500 MB a second 8 GiB
take 16 s each time. 14,000 ImageNet-sized float32 images are this much; 3,000 already give every statistic to well
below its noise floor."""

IN_MEMORY_BYTES = 1 << 26
"""64 MiB of a batch are held in memory; arrays beyond are mapped. Far below what loading TensorFlow takes."""

MAX_CHUNK_BYTES = 1 << 30
"""1 GiB in one chunk of an HDF5 dataset. A chunk is unpacked whole, and with what it is unpacked from and into that is
about three quarters of a default guest's memory."""

MAX_TEXT_BYTES = 1 << 28
"""256 MiB of text in one batch, which is held in memory, what Python needs beside it included."""

STRING_BYTES = 50
"""What Python needs for a string beside its characters."""

MAX_JSON_BYTES = 1 << 28
"""256 MiB of JSON. Python needs about ten times the text's size for the parsed lists, so more would not fit the job."""

BOMB_FLOOR_BYTES = 1 << 26
"""64 MiB. Below this a file that unpacks to far more than its size does no harm; constant arrays do so."""

MAX_EXPANSION = 200
"""How many times its stored size an array above the floor may unpack to. Deflate reaches 1032 on constant data; real
measurements stay below 20, one-hot labels and sparse masks below 150."""

MAX_MEMBERS = 1000
"""Arrays in one file. A model with a thousand inputs is unheard of; a directory of 60 000 entries is an attack."""

MAX_RANK = 32
"""Axes of one array, NumPy's own limit before version 2 and far above any model's."""


def declared_bytes(shape: Sequence[int], itemsize: int) -> int:
    """Bytes that an array of this shape needs, as an exact integer. Raises BatchUnreadable for impossible shapes."""
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise BatchUnreadable("An array of the batch declares a shape that no array can have. Write the file again.")
    return math.prod(int(size) for size in shape) * itemsize


def check_size(name: str, nbytes: int, stored: int | None = None) -> None:
    """Refuse an array by its declared size in bytes, and by what is stored of it in the file (None: not known).

    Raises:
        BatchUnreadable: too large, or unpacking to far more than any measurement does.
    """
    if nbytes > MAX_ARRAY_BYTES:
        raise BatchUnreadable(
            f"`{name}` declares {mib(nbytes)}, more than the {mib(MAX_ARRAY_BYTES)} that a batch may have. "
            "A few hundred to a few thousand samples are enough for a diagnosis."
        )
    if stored is not None and nbytes > BOMB_FLOOR_BYTES and nbytes > MAX_EXPANSION * stored:
        raise BatchUnreadable(
            f"`{name}` declares {mib(nbytes)} but only {stored} bytes of it are stored in the file. "
            "Write the file again from the real arrays."
        )


def check_total(total: int) -> None:
    """Refuse a whole batch by its size in bytes. Raises BatchUnreadable."""
    check_size("the batch as a whole", total)


def check_text(characters: int, strings: int) -> None:
    """Refuse a batch by the size of its text. Raises BatchUnreadable."""
    if characters + strings * STRING_BYTES > MAX_TEXT_BYTES:
        raise BatchUnreadable(
            f"The batch holds more than {mib(MAX_TEXT_BYTES)} of text, {STRING_BYTES} bytes beside each string "
            "included. Send fewer samples."
        )


def mib(nbytes: int) -> str:
    """A number of bytes for a message: "1,024 MiB"."""
    return f"{nbytes / (1 << 20):,.0f} MiB"

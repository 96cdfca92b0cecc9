"""How texts count: shared by everything that writes sentences for the owner of a model."""

from __future__ import annotations


def plural(count: int, word: str) -> str:
    """ "1 layer", "53 layers"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def size(count: int) -> str:
    """A number of bytes as people say it: "3.84 TB", "512 MB"."""
    unit, name = next(((u, n) for u, n in ((10**12, "TB"), (10**9, "GB")) if count >= u), (10**6, "MB"))
    return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count // unit:,} {name}"

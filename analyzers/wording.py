"""How texts count: shared by everything that writes sentences for the owner of a model."""

from __future__ import annotations


def plural(count: int, word: str) -> str:
    """ "1 layer", "53 layers"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"

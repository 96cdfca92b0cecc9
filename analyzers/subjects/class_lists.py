"""Classes with the layers that use them, as a part of a sentence."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3
"""Layers named for one class: enough to find it, and a clause still."""

SHOWN_CLASSES = 8


def listed(users: dict[str, list[str]]) -> str:
    """Classes with the layers that use them: "`Attention2` (`net/att_1`, `net/att_2` and 3 more), `Gate` (`net/g`)"."""
    shown = [f"`{name}`{_places(paths)}" for name, paths in list(users.items())[:SHOWN_CLASSES]]
    rest = len(users) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _places(paths: Sequence[str]) -> str:
    named = [f"`{path[:80]}`" for path in paths[:SHOWN] if path]
    if not named:
        return ""
    rest = len(paths) - len(named)
    return f" ({', '.join(named)}{f' and {rest} more' if rest > 0 else ''})"

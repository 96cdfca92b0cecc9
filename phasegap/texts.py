"""Names in a report come from a stranger's file: here they become text that neither a terminal nor a page obeys."""

from __future__ import annotations

import html
import math
import unicodedata

LENGTH_LIMIT = 2000
"""Characters of one text: a name may be a megabyte, and what is shown must not be."""


def plain(value: object, limit: int = LENGTH_LIMIT) -> str:
    """Text on one line without control characters, terminal escapes or changes of direction."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(value)[:limit])


def plain_lines(value: object) -> str:
    """The same for code, whose lines stay lines."""
    return "\n".join(plain(line.expandtabs(4)) for line in str(value).splitlines())


def escaped(value: object) -> str:
    """The same, for a place between tags or in a quoted attribute of HTML."""
    return html.escape(plain(value), quote=True)


def number(value: float | int | None) -> str:
    """Four significant digits; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    return f"{value:.4g}"

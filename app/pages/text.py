"""How a report's values are written on a page: names made inert, figures cut to the digits that mean something."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from app.inert import is_seen

SHOWN_LIMIT = 200
TEXT_LIMIT = 8000
BACKTICKED = re.compile(r"`([^`]+)`")
SMALLEST_SHARE = 5e-5  # what rounds to less than 0.01 % is not worth its digits
NOT_IN_AN_ID = re.compile(r"[^a-z0-9_-]+")

Row = dict[str, Any]


def shown(value: object, limit: int = SHOWN_LIMIT) -> str:
    """Text on one line without control and direction characters, cut where it is too long to be read."""
    text = str(value)[: limit * 4]
    kept = "".join(char if is_seen(char) else " " for char in text)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def paragraph(value: object) -> str:
    """`shown`, for longer texts."""
    return shown(value, TEXT_LIMIT)


def prose(value: object) -> Markup:
    """`paragraph`, with what stands between backticks as code. Escaped first, so no name becomes markup."""
    return Markup(BACKTICKED.sub(r"<code>\1</code>", str(escape(paragraph(value)))))  # noqa: S704 - escaped just above


def code(value: object) -> str:
    """Code to paste: its line breaks stay."""
    return "\n".join(shown(line, 400) for line in str(value)[:TEXT_LIMIT].splitlines())


def number(value: object) -> str:
    """A figure with as many digits as mean something."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown(value, 60)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def percent(value: object) -> str:
    """A share as per cent; what is no number stays the word it is."""
    share = finite(value)
    if share is None:
        return number(value)
    return "0\u00a0%" if abs(share) < SMALLEST_SHARE else f"{share * 100:.3g}\u00a0%"


def moment(seconds: float | None) -> str:
    """A time of the database for people."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def words(value: object) -> str:
    """A code as words."""
    return shown(value).replace("_", " ")


def cause(code: object) -> str:
    """A cause code as a title that can be read."""
    family, _, rest = str(code).partition("_")
    text = f"Batch normalization: {rest}" if family == "bn" else str(code).capitalize()
    return words(text)


def compared(report: dict[str, Any]) -> str:
    """What the difference of the outputs amounts to, in words."""
    difference = report["phases"]["difference"]
    rms, floor = difference["relative_output_rms"], difference["noise_floor"]
    if difference["significant"]:
        return "a significant difference"
    if report["verdict"] == "inconclusive":
        return "not decided"
    if isinstance(rms, int | float) and isinstance(floor, int | float) and rms > floor:
        return "more than chance gives, too little to matter"
    return "no significant difference"


def finite(value: object) -> float | None:
    """The number, or None where the report has none that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def slug(value: object) -> str:
    """What a link can point at: a code as the name of a place on the page."""
    return NOT_IN_AN_ID.sub("-", str(value)[:80].lower())


def bytes_size(count: int) -> str:
    """A number of bytes as people say it."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def many(count: int, word: str) -> str:
    """ "1 layer", "53 layers"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"

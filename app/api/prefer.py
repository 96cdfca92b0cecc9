"""`Prefer` after RFC 7240: how long a client wants to wait. What is not understood is ignored, as the RFC demands."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFERENCE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;,]*))?\s*(?:;[^,]*)?')


@dataclass(frozen=True)
class Waiting:
    """How long to wait, and what to say about it in `Preference-Applied`."""

    seconds: float
    applied: str | None


def parse_waiting(headers: list[str], default_s: float, limit_s: float) -> Waiting:
    """The wait that was asked for. `respond-async` beside `wait=N` means: N seconds, then answer 202."""
    preferences = _preferences(headers)
    asked = preferences.get("wait", "")
    if re.fullmatch(r"\d{1,9}", asked):
        seconds = min(float(asked), limit_s)
        return Waiting(seconds, f"wait={seconds:g}")
    if "respond-async" in preferences:
        return Waiting(0.0, "respond-async")
    return Waiting(default_s, None)


def _preferences(headers: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in ",".join(headers)[:2000].split(","):
        match = PREFERENCE.fullmatch(part)
        if match:
            found.setdefault(match.group(1).lower(), (match.group(2) or "").strip().strip('"'))
    return found

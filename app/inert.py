"""Strangers' text made inert for where it is written: no character that moves, colours, hides or turns around what
stands beside it.
"""

from __future__ import annotations

import re
import unicodedata

UNSEEN = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
"""Control characters that JSON leaves as they are, line separators, those that change the direction of text, and
halves of surrogate pairs, which no encoding can hold."""


def inert_json(document: str) -> str:
    """The same JSON with such characters as escapes, so that neither a terminal nor a person is led astray by it."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", document)


def spelled_out(text: str, kept: str = "") -> str:
    """Text with everything that cannot be printed, but for what is `kept`, spelled as Python would."""
    return "".join(char if char.isprintable() or char in kept else ascii(char)[1:-1] for char in text)


def is_seen(char: str) -> bool:
    """Whether a character shows itself and leaves its neighbours alone: no control, direction, line separator, half."""
    category = unicodedata.category(char)
    return category[0] != "C" and category not in ("Zl", "Zp")

"""JSON from a model file: an object, no deeper than a model can be, every key once."""

from __future__ import annotations

import json
import re
from typing import Any

from analyzers.errors import ModelUnreadable, ModelUnsafe

MAX_BYTES = 1 << 25
"""32 MiB of configuration. EfficientNetV2-L has 1.0 MB; Keras takes seconds for every 10 MB."""

MAX_DEPTH = 200
"""Nesting of brackets. EfficientNetV2-L has 11 and each nested model adds some; Python's parser gives up near 1000."""

DAMAGED = "the file is damaged. Send it again, or save the model again."

BRACKETS = re.compile(r"[\[\]{}]")


def parse_json(content: str | bytes, what: str) -> dict[str, Any]:
    """The object in `content`; `what` names it in messages.

    Raises:
        ModelUnreadable: no valid JSON, or no object.
        ModelUnsafe: nested absurdly deep, or a key stands twice (readers differ in which one they believe).
    """
    text = _decoded(content, what)
    if len(text) > MAX_BYTES:
        raise ModelUnsafe(f"The model's {what} is larger than {MAX_BYTES >> 20} MiB, no model's is. Save it again.")
    _check_depth(text, what)
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, what))
    except (ValueError, RecursionError) as error:
        raise ModelUnreadable(f"The model's {what} is no valid JSON: {DAMAGED}") from error
    if not isinstance(value, dict):
        raise ModelUnreadable(f"The model's {what} holds no JSON object: {DAMAGED}")
    return value


def _decoded(content: str | bytes, what: str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelUnreadable(f"The model's {what} is no UTF-8 text: {DAMAGED}") from error


def _check_depth(text: str, what: str) -> None:
    depth = 0
    for bracket in BRACKETS.findall(text):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ModelUnsafe(
                f"The model's {what} is nested more than {MAX_DEPTH} levels deep, and no real model is. Put models "
                "that hold models that hold models side by side, and save the model again."
            )


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ModelUnsafe(f"The model's {what} has the same key twice. Save the model again with Keras.")
    return found

"""The form fields beside the files, checked before anything runs."""

from __future__ import annotations

import json
import math
from typing import Any

from app.errors import InvalidRequest
from app.jobs.needs import DEVICES, Device
from app.placing import HIGHEST_PRIORITY

FIELDS = ("batch_size", "loss", "metrics", "reported", "seed", "label_column")
PLACING_FIELDS = ("device", "priority")
"""Fields that say where and when it runs. The guest never sees them."""
URI_FIELDS = {"model_uri": "model", "batch_uri": "batch"}
"""Fields that stand in place of a file: where it is fetched from."""
BATCH_SIZE_LIMIT = 1_000_000
SEED_LIMIT = 2**32 - 1
TEXT_LIMIT = 2000
REPORTED_LIMIT = 100


def parse_options(fields: dict[str, str]) -> dict[str, Any]:
    """The options as the guest gets them; what was left empty is left out.

    Raises:
        InvalidRequest: a field cannot mean what it says; the answer names it.
    """
    given = {name: value.strip() for name, value in fields.items() if value.strip()}
    options: dict[str, Any] = {}
    for name, value in given.items():
        options[name] = PARSERS[name](name, value)
    return options


def parse_device(text: str) -> Device:
    """What the field `device` asks for."""
    named = next((device for device in DEVICES if device == (text.strip().lower() or DEVICES[0])), None)
    if named is None:
        raise InvalidRequest(f"`device` must be one of {', '.join(DEVICES)}, not {text.strip()[:40]!r}.")
    return named


def parse_priority(text: str) -> int | None:
    """What the field `priority` asks for, None where it asks for nothing."""
    return _integer("priority", text.strip(), 0, HIGHEST_PRIORITY) if text.strip() else None


def _integer(name: str, value: str, low: int, high: int) -> int:
    try:
        number = int(value) if len(value) <= 20 else high + 1
    except ValueError as error:
        raise InvalidRequest(f"`{name}` must be an integer, not {value[:40]!r}.") from error
    if not low <= number <= high:
        raise InvalidRequest(f"`{name}` must lie between {low} and {high}.")
    return number


def _batch_size(name: str, value: str) -> int:
    return _integer(name, value, 1, BATCH_SIZE_LIMIT)


def _seed(name: str, value: str) -> int:
    return _integer(name, value, 0, SEED_LIMIT)


def _text(name: str, value: str) -> str:
    if len(value) > TEXT_LIMIT:
        raise InvalidRequest(f"`{name}` is longer than {TEXT_LIMIT} characters.")
    if not value.isprintable():
        raise InvalidRequest(f"`{name}` holds characters that cannot be printed.")
    return value


def _reported(name: str, value: str) -> dict[str, float]:
    wanted = '`reported` must be a JSON object of numbers, such as {"accuracy": 1.0, "loss": 0.01}'
    try:
        figures = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{wanted}; it is not valid JSON.") from error
    if not isinstance(figures, dict) or len(figures) > REPORTED_LIMIT:
        raise InvalidRequest(f"{wanted}.")
    return {_text(name, key[:200]): _finite(key, figure) for key, figure in figures.items()}


def _finite(key: str, figure: object) -> float:
    if isinstance(figure, bool) or not isinstance(figure, int | float):
        raise InvalidRequest(f"`reported`: {key[:40]!r} must be a number.")
    try:
        number = float(figure)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidRequest(f"`reported`: {key[:40]!r} must be a finite number.")
    return number


PARSERS = {
    "batch_size": _batch_size,
    "loss": _text,
    "metrics": _text,
    "reported": _reported,
    "seed": _seed,
    "label_column": _text,
}

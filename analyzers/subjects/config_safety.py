"""A model's configuration before it is built."""

from __future__ import annotations

from typing import Any


def check_config(config: dict[str, Any]) -> None:
    """Refuse code."""

"""What a model file says about itself, read without Keras: configuration, version, compile settings, updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

COMPILE_KEYS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
"""What is kept of the compile settings, under the names that `.keras` files use."""


@dataclass(frozen=True)
class ModelFile:
    """Facts from a checked file. `config` is the model's serialized configuration."""

    format: str
    config: dict[str, Any]
    keras_version: str | None
    compile_config: dict[str, Any] | None
    optimizer_iterations: int | None


def normalized_compile_config(stored: Any) -> dict[str, Any] | None:
    """Compile settings with the same keys for every format, None where the model was not compiled."""
    if not isinstance(stored, dict):
        return None
    settings = {**stored, "optimizer": stored.get("optimizer", stored.get("optimizer_config"))}
    kept = {key: settings.get(key) for key in COMPILE_KEYS}
    return kept if any(value is not None for value in kept.values()) else None


def text(value: Any, longest: int = 40) -> str | None:
    """An attribute or JSON value as short text, None where it is none."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:longest] if isinstance(value, str) else None

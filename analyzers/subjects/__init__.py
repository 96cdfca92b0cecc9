"""Models as the analysis gets them: checked without running them, loaded in safe mode, written back repaired.

The static pass (`outline`) works without Keras; so what needs Keras is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyzers.subjects.loading import LoadedModel, load_model
    from analyzers.subjects.repair import write_repaired

__all__ = ["LoadedModel", "load_model", "write_repaired"]

_PLACES = {"LoadedModel": "loading", "load_model": "loading", "write_repaired": "repair"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

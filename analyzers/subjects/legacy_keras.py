"""Models by Keras 2, run by the code of Keras 2 (`tf_keras`), which reads them as they were meant.

Keras 3 cannot build most of them, and builds some with another meaning: `hard_sigmoid` got another slope, and a layer
that renormalizes loses that without a word. So what Keras 2 wrote goes this way wherever it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tf_keras

from analyzers.subjects.config_safety import FUNCTION_PARTS, Vocabulary
from analyzers.subjects.families import is_legacy

CHANGED = {
    "hard_sigmoid": "`hard_sigmoid` is 0.2 x + 0.5 in Keras 2 and x / 6 + 0.5 in Keras 3",
    "renorm": "Keras 3 knows no batch renormalization and ignores it",
}
"""What Keras 3 builds without complaint and computes differently."""


def is_by_keras_2(version: str | None) -> bool:
    """Whether the version that a file names is one before Keras 3."""
    return version is not None and version.split(".")[0] in ("0", "1", "2")


def load(plain: Path) -> Any:
    """The model in a `.keras` or `.h5` file, not compiled; its configuration has to be checked before.

    Keras 2 refuses no lambda in an `.h5` file.
    """
    return tf_keras.models.load_model(plain, compile=False, safe_mode=True)


def _is_registered(name: str) -> bool:
    """Whether this process has a class of Keras 2 registered under this name."""
    return tf_keras.saving.get_registered_object(name) is not None


def _has_layer(name: str) -> bool:
    """Whether Keras 2 has a layer or model of this name."""
    parts = (tf_keras.layers, tf_keras.models, tf_keras.layers.experimental)
    return name in ("Functional", "Model") or any(isinstance(getattr(part, name, None), type) for part in parts)


def _has_function(name: str) -> bool:
    """Whether Keras 2 has an activation, initializer or the like of this name."""
    return any(hasattr(getattr(tf_keras, part), name) for part in FUNCTION_PARTS)


VOCABULARY = Vocabulary(_is_registered, _has_layer, _has_function, calls_functions=True)
NAME = f"Keras 2 (tf_keras {tf_keras.__version__})"


def remark(config: dict[str, Any], model: Any) -> str | None:
    """What differs if Keras 3 loads this file, None where nothing is known to; `config` as in the file."""
    if not is_legacy(model):
        return None
    found = sorted({said for key, value in _settings(config) if (said := _changed(key, value))})
    if not found:
        return None
    return f"loaded by Keras 3 this file gives other outputs: {'; '.join(found)}. It was run by the code of Keras 2"


def _changed(key: str, value: Any) -> str | None:
    if key == "renorm" and value is True:
        return CHANGED["renorm"]
    return CHANGED["hard_sigmoid"] if value == "hard_sigmoid" and key.endswith("activation") else None


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Every setting in a configuration, however deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from ((str(key), inner) for key, inner in item.items())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)

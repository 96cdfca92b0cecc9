"""Classes of the operator's own: modules that the warm parent imports, so that models which use their classes load.

A module registers its classes as Keras wants it, by `@keras.saving.register_keras_serializable(package=...)`. What an
operator names here runs outside of any cage, once, at the start; what strangers upload never gets this far.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

MODULES = "PHASEGAP_GUEST_CUSTOM_CLASSES"
"""The variable by which the host tells the warm parent, a JSON list. Its own settings do not reach that process."""


class CustomClassesUnusable(Exception):  # noqa: N818 - says a state, as the sandbox's other troubles do
    """A module that the operator named cannot be used; the message names it and says why."""


def as_environment(modules: Sequence[str]) -> dict[str, str]:
    """The modules as the warm parent's environment carries them."""
    return {MODULES: json.dumps(list(modules))} if modules else {}


def register_named() -> None:
    """Import the modules that the environment names. Raises `CustomClassesUnusable`."""
    register(json.loads(os.environ.get(MODULES, "[]")))


def register(modules: Sequence[str], folder: Path | None = None) -> None:
    """Import modules, `folder` being looked through first.

    Raises:
        CustomClassesUnusable: a module fails, or leaves this process with another thread: a TensorFlow operation does,
            and no guest could be forked any more.
    """
    if folder is not None:
        sys.path.insert(0, str(folder))
    for name in modules:
        before = _threads()
        try:
            importlib.import_module(name)
        except Exception as error:  # a module of somebody else's raises anything
            raise CustomClassesUnusable(
                f"the module {name} of custom classes cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if _threads() > before:
            raise CustomClassesUnusable(
                f"the module {name} of custom classes starts a thread or runs a TensorFlow operation when it is "
                "imported; define classes there and nothing else"
            )


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))

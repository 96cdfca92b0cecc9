"""Which edition of the analysis a worker runs: reports by the same one on the same content are the same."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from app.settings import Settings

LIBRARIES = ("tensorflow", "keras", "tf_keras", "numpy", "scipy", "h5py", "pyarrow")
"""What figures in a report depend on, beside our own code."""


def edition_of(settings: Settings) -> str | None:
    """A digest of the analysis' sources and of its libraries' versions.

    None where the operator has registered classes: their code can change behind one name.
    """
    if settings.custom_classes_modules:
        return None
    digest = hashlib.sha256()
    spec = find_spec("analyzers")  # found and not imported: the worker itself runs none of it
    for path in sorted(Path(str(spec and spec.origin)).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()[:32]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"

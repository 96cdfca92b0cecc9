"""Writing a model back with other moving statistics, and nothing else changed: the promise behind a repaired model.

The upload is copied and only the datasets of the given variables are overwritten; the copy is then read again and
compared with the upload, so that the manifest states what was found and not what was meant. Where the layout of a
file is not understood, the whole model is saved by Keras instead and the manifest says so.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tf_keras

from analyzers.subjects.families import is_legacy, path_of
from analyzers.subjects.keras_archive import WEIGHTS
from analyzers.subjects.kinds import kind_of
from analyzers.subjects.patching import is_copy, write_copy
from analyzers.subjects.placement import (
    Patch,
    Replacement,
    agrees,
    dataset_paths,
    patch_for_archive,
    patch_for_legacy,
    replaced,
)
from analyzers.subjects.rewriting import (
    copy_archive,
    copy_archive_with,
    differing_datasets,
    extract_member,
    identical_members,
    member_names,
    open_weights,
    patch_hdf5,
    spans_of,
)
from analyzers.subjects.saved_model_repair import write_saved_model


def write_repaired(
    upload: Path, destination: Path, model: keras.Model, replacements: Sequence[Replacement]
) -> dict[str, Any]:
    """Write a copy of `upload` to `destination` in which only the variables of `replacements` have new values.

    Args:
        upload: the `.keras` or legacy `.h5` file, or the archive of a SavedModel, that `model` was loaded from.
        destination: where to write; the format is that of the upload, whatever the name.
        model: the loaded model with the values of the upload. It has them again afterwards, also after an error.
        replacements: variables of the model, each with its new value of the same shape.

    Returns:
        The manifest, ready for JSON: `format`; `rewritten` (False: a copy of the upload with some bytes changed; True:
        saved anew by Keras, without optimizer and compile settings); `changed`, one entry a dataset with `path`,
        `shape` and `max_absolute_change`; `identical_datasets`, how many others are equal, None where it was rewritten;
        `identical_members` of an archive.
    """
    kind = kind_of(upload)
    if kind == "saved_model":
        return write_saved_model(upload, destination, replacements)
    with tempfile.TemporaryDirectory() as folder:
        write = _copy_archive if kind == "keras" else _copy_legacy
        manifest = write(upload, destination, model, replacements, Path(folder))
        if manifest is None:
            written = Path(folder) / f"repaired.{kind}"
            manifest = _save_anew(written, model, replacements, kind)
            shutil.copyfile(written, destination)
    return manifest


def _copy_archive(
    upload: Path, written: Path, model: keras.Model, replacements: Sequence[Replacement], scratch: Path
) -> dict[str, Any] | None:
    with open_weights(upload) as old:
        patch = patch_for_archive(model, replacements, old, scratch)
        if patch is None:
            return None
        spans, manifest = spans_of(old, patch), _manifest(old, patch)
    if spans is not None and copy_archive_with(upload, written, WEIGHTS, spans):
        return {"format": "keras", **manifest, "identical_members": member_names(upload, besides=WEIGHTS)}
    members = _archive_anew(upload, written, patch, scratch / "patched.h5")
    return None if members is None else {"format": "keras", **manifest, "identical_members": members}


def _archive_anew(upload: Path, written: Path, patch: Patch, weights: Path) -> list[str] | None:
    """Write the archive member by member, with weights patched apart from it; the members that stayed as they were."""
    extract_member(upload, WEIGHTS, weights)
    patch_hdf5(weights, patch)
    copy_archive(upload, written, WEIGHTS, weights)
    with open_weights(upload) as old, open_weights(written) as new:
        return identical_members(upload, written, besides=WEIGHTS) if _only_changed(old, new, patch) else None


def _copy_legacy(
    upload: Path, written: Path, model: keras.Model, replacements: Sequence[Replacement], _: Path
) -> dict[str, Any] | None:
    with h5py.File(upload, "r") as file:
        patch = patch_for_legacy(model, replacements, file)
        if patch is None or not agrees(file, patch):
            return None
        spans, manifest = spans_of(file, patch), _manifest(file, patch)
    if spans is None:
        shutil.copyfile(upload, written)
        patch_hdf5(written, patch)
        with h5py.File(upload, "r") as old, h5py.File(written, "r") as new:
            held = _only_changed(old, new, patch)
    else:
        write_copy(upload, written, spans)
        held = is_copy(upload, written, spans)
    return {"format": "h5", **manifest} if held else None


def _only_changed(old: h5py.File, new: h5py.File, patch: Patch) -> bool:
    """Whether exactly the datasets of the patch differ, and have the values that were meant."""
    meant = {path: (becomes, becomes) for path, (_, becomes) in patch.items()}
    return differing_datasets(old, new) == sorted(patch) and agrees(new, meant)


def _manifest(file: h5py.File, patch: Patch) -> dict[str, Any]:
    identical = len(dataset_paths(file)) - len(patch)
    return {"rewritten": False, "changed": _changes(patch), "identical_datasets": identical}


def _save_anew(written: Path, model: keras.Model, replacements: Sequence[Replacement], kind: str) -> dict[str, Any]:
    with replaced(replacements):
        if is_legacy(model):
            tf_keras.models.save_model(model, written, save_format=kind)
        else:
            keras.saving.save_model(model, written)
    named = {
        path_of(variable): (np.array(keras.ops.convert_to_numpy(variable)), np.asarray(value))
        for variable, value in replacements
    }
    return {"format": kind, "rewritten": True, "changed": _changes(named), "identical_datasets": None}


def _changes(patch: Patch) -> list[dict[str, Any]]:
    return [
        {"path": path, "shape": list(was.shape), "max_absolute_change": _largest_change(was, becomes)}
        for path, (was, becomes) in sorted(patch.items())
    ]


def _largest_change(was: Any, becomes: Any) -> float | str:
    """A number, or its name where it is not finite: JSON has no NaN."""
    largest = float(np.max(np.abs(_numbers(becomes) - _numbers(was)), initial=0.0))
    return largest if math.isfinite(largest) else "NaN" if math.isnan(largest) else "Infinity"


def _numbers(values: Any) -> Any:
    """As float64. HDF5 knows no bfloat16, so Keras stores its two bytes: the upper half of a float32."""
    if values.dtype.kind == "V" and values.dtype.itemsize == 2:
        values = (values.view("uint16").astype("uint32") << 16).view("float32")
    return values.astype("float64")

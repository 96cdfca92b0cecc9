"""A repaired model differs from the upload in the given statistics and in nothing else."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from model_files import disturb, functional, nested, registered, trained

from analyzers.subjects import load_model, write_repaired
from analyzers.subjects.placement import dataset_paths


def statistics(model: keras.Model) -> list[keras.Variable]:
    """The moving statistics, each variable once however often its layer is used."""
    return [variable for variable in model.non_trainable_variables if "moving" in variable.name]


def snapshot(model: keras.Model) -> list[bytes]:
    return [np.array(variable).tobytes() for variable in model.variables]


def repair(upload: Path, factor: float = 3.0) -> tuple[keras.Model, Path, dict[str, Any]]:
    model = load_model(upload).model
    if not model.built:
        model(np.zeros((2, 4), dtype="float32"))
    before = snapshot(model)
    replacements = [(variable, np.array(variable) * factor) for variable in statistics(model)]
    destination = upload.with_name("repaired" + upload.suffix)
    manifest = write_repaired(upload, destination, model, replacements)
    assert snapshot(model) == before, "the model was not restored"
    json.dumps(manifest, allow_nan=False)
    return model, destination, manifest


def weights_of(path: Path) -> h5py.File:
    if path.suffix == ".h5":
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        return h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")


def test_only_the_statistics_differ(saved: Path) -> None:
    model, repaired, manifest = repair(saved)
    assert manifest["rewritten"] is False
    with weights_of(saved) as old, weights_of(repaired) as new:
        assert dataset_paths(old) == dataset_paths(new)
        differing = [path for path in dataset_paths(old) if old[path][()].tobytes() != new[path][()].tobytes()]
    assert differing == [entry["path"] for entry in manifest["changed"]]
    assert len(differing) == len(statistics(model))
    assert all(entry["max_absolute_change"] > 0 for entry in manifest["changed"])
    again = load_model(repaired).model
    for mine, other in zip(statistics(model), statistics(again), strict=True):
        np.testing.assert_allclose(
            np.array(other).astype("float32"),
            np.array(mine).astype("float32") * 3.0,
            rtol=0.01 if saved.stem == "brain_float" else 1e-6,
        )


def test_every_other_byte_of_the_file_stays(saved: Path) -> None:
    model, repaired, _ = repair(saved)
    old, new = saved.read_bytes(), repaired.read_bytes()
    assert len(old) == len(new)
    values = sum(variable.shape[0] * 4 for variable in statistics(model))
    checksums = 8 if saved.suffix == ".keras" else 0  # of the weights member, beside it and in the directory
    assert 0 < sum(a != b for a, b in zip(old, new, strict=True)) <= values + checksums


def test_members_dates_and_comments_of_the_archive_stay(tmp_path: Path) -> None:
    functional().save(tmp_path / "m.keras")
    upload = tmp_path / "packed.keras"
    with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(upload, "w", zipfile.ZIP_DEFLATED) as new:
        new.comment = b"ours"
        for name in reversed(old.namelist()):
            info = zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6))
            info.compress_type, info.comment = zipfile.ZIP_DEFLATED, b"member"
            new.writestr(info, old.read(name))
    _, repaired, manifest = repair(upload, factor=0.5)
    assert manifest["identical_members"] == ["config.json", "metadata.json"]
    with zipfile.ZipFile(upload) as old, zipfile.ZipFile(repaired) as new:
        assert new.comment == b"ours"
        for was, now in zip(old.infolist(), new.infolist(), strict=True):
            assert (was.filename, was.date_time, was.comment, was.compress_type) == (
                now.filename, now.date_time, now.comment, now.compress_type,
            )  # fmt: skip


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_optimizer_and_compile_settings_stay(suffix: str, tmp_path: Path) -> None:
    upload = trained(suffix, tmp_path)
    _, repaired, manifest = repair(upload)
    before, after = load_model(upload), load_model(repaired)
    assert after.compile_config == before.compile_config
    assert after.optimizer_iterations == 4
    assert manifest["identical_datasets"] > 10


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_corrupt_statistics_are_replaced(suffix: str, bad: float, tmp_path: Path) -> None:
    model = nested()
    disturb(model)
    for variable in statistics(model):
        variable.assign(np.full(variable.shape, bad))
    model.save(tmp_path / f"m.{suffix}")
    loaded = load_model(tmp_path / f"m.{suffix}").model
    replacements = [(variable, np.full(variable.shape, 2.0)) for variable in statistics(loaded)]
    manifest = write_repaired(tmp_path / f"m.{suffix}", tmp_path / f"r.{suffix}", loaded, replacements)
    json.dumps(manifest, allow_nan=False)
    assert manifest["rewritten"] is False
    for variable in statistics(load_model(tmp_path / f"r.{suffix}").model):
        assert np.array(variable).tolist() == [2.0] * variable.shape[0]


def test_nothing_to_change_is_a_plain_copy(saved: Path) -> None:
    _, repaired, manifest = repair(saved, factor=1.0)
    assert manifest["changed"] == []
    assert repaired.read_bytes() == saved.read_bytes()


def recompressed(path: Path) -> None:
    """Store every dataset of an HDF5 file in compressed chunks, as other tools do."""
    with h5py.File(path, "r+") as file:
        for name in dataset_paths(file):
            values = file[name][()]
            if values.ndim:
                del file[name]
                file.create_dataset(name, data=values, chunks=True, compression="gzip")


def test_compressed_datasets_go_through_hdf5(tmp_path: Path) -> None:
    model = functional()
    disturb(model)
    model.save(tmp_path / "m.h5")
    recompressed(tmp_path / "m.h5")
    _, repaired, manifest = repair(tmp_path / "m.h5")
    assert manifest["rewritten"] is False
    with h5py.File(repaired) as file:
        assert file[manifest["changed"][0]["path"]].compression == "gzip"


def renamed_like_keras_2(path: Path) -> None:
    """Give the weights the names that Keras 2 gave them: `layer/layer/kernel:0`."""
    with h5py.File(path, "r+") as file:
        root = file["model_weights"]
        for group in (root[name] for name in root):
            names = []
            for old in group.attrs["weight_names"]:
                old = old.decode() if isinstance(old, bytes) else old
                new = f"net/{old}:0"
                group.move(old, new)
                names.append(new.encode())
            group.attrs["weight_names"] = names


def test_legacy_files_with_other_names_are_matched_by_position(tmp_path: Path) -> None:
    model = nested()
    disturb(model)
    model.save(tmp_path / "m.h5")
    renamed_like_keras_2(tmp_path / "m.h5")
    model, _, manifest = repair(tmp_path / "m.h5")
    assert manifest["rewritten"] is False
    assert len(manifest["changed"]) == len(statistics(model))
    assert all(entry["path"].endswith(":0") for entry in manifest["changed"])


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_where_the_layout_is_not_understood_the_model_is_saved_anew(suffix: str, tmp_path: Path) -> None:
    model = functional()
    disturb(model)
    model.save(tmp_path / f"m.{suffix}")
    loaded = load_model(tmp_path / f"m.{suffix}").model
    stranger = functional()
    disturb(stranger)
    for variable in statistics(stranger):
        variable.assign(np.array(variable) + 1)  # not what stands in the file
    replacements = [(variable, np.zeros(variable.shape)) for variable in statistics(stranger)]
    manifest = write_repaired(tmp_path / f"m.{suffix}", tmp_path / f"r.{suffix}", stranger, replacements)
    assert manifest["rewritten"] is True
    assert manifest["identical_datasets"] is None
    repaired = load_model(tmp_path / f"r.{suffix}").model
    assert all(not np.array(variable).any() for variable in statistics(repaired))
    assert loaded.count_params() == repaired.count_params()


def test_the_model_is_restored_after_an_error(tmp_path: Path) -> None:
    model = registered()
    disturb(model)
    model.save(tmp_path / "m.keras")
    before = snapshot(model)
    replacements = [(variable, np.zeros(variable.shape)) for variable in statistics(model)]
    wrong = (statistics(model)[0], np.zeros(99))
    with pytest.raises(ValueError, match="shape"):
        write_repaired(tmp_path / "m.keras", tmp_path / "r.keras", model, [*replacements, wrong])
    assert snapshot(model) == before
    assert not (tmp_path / "r.keras").exists()


def test_names_that_are_no_text_stand_in_nobodys_way(tmp_path: Path) -> None:
    upload = trained("h5", tmp_path)
    with h5py.File(upload, "r+") as file:
        file["model_weights"].create_dataset(b"odd\xff\xfe", data=np.ones(3))
    _, repaired, manifest = repair(upload)
    assert manifest["rewritten"] is False
    with h5py.File(repaired) as file:
        assert file["model_weights"][b"odd\xff\xfe"][()].tolist() == [1, 1, 1]

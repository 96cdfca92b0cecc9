"""Files of other formats sent as a model: told apart, with what to send instead."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from model_files import refused

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects.kinds import kind_of


def archive_of(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return path


def tar_of(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return path


def test_archives_of_saved_models_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    for path in (archive_of(tmp_path / "m.zip", "m/saved_model.pb"), tar_of(tmp_path / "m.tar.gz", "m/saved_model.pb")):
        assert kind_of(path) == "saved_model"
    refused(tar_of(tmp_path / "n.tar.gz", "m/weights.bin"), UnsupportedModelFormat, "saved_model.pb", ".keras")


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (b"\x80\x04\x95" + b"a" * 20, "pickle"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x93NUMPY\x01\x00", "swapped"),
        (b'{"class_name": "Sequential"}', "JSON"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (b"\x08\x07\x12\x07pytorch", "ONNX"),
        (b"\xd5\x24\xa9\x45" + b"\0" * 50, "no model format"),
    ],
)
def test_other_formats_are_told_apart(content: bytes, look: str, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(content)
    refused(tmp_path / "m.keras", UnsupportedModelFormat, look)


def test_other_archives_are_told_apart(tmp_path: Path) -> None:
    refused(archive_of(tmp_path / "m.pt", "m/data.pkl"), UnsupportedModelFormat, "PyTorch")
    refused(archive_of(tmp_path / "b.npz", "x.npy"), UnsupportedModelFormat, "swapped")
    refused(archive_of(tmp_path / "f.zip", "folder/config.json"), UnsupportedModelFormat, "in a folder")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.ones(3)
    refused(tmp_path / "x.h5", UnsupportedModelFormat, "no Keras model")


def test_attributes_of_a_legacy_file_that_are_no_configuration(plain_h5: Path) -> None:
    for value in (b"{", b"[]", 7, json.dumps({"class_name": "Functional"}).encode(), np.zeros(3)):
        with h5py.File(plain_h5, "r+") as file:
            file.attrs["model_config"] = value
        refused(plain_h5, ModelUnreadable)

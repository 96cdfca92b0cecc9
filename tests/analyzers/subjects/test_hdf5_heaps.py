"""Heaps of texts on which HDF5 would never return are found before it reads them; sound ones are not."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import pytest
from model_files import functional, refused

from analyzers.errors import ModelUnreadable
from analyzers.subjects.hdf5_heaps import SIGNATURE, check_heaps


def test_sound_heaps_pass_and_endless_ones_are_refused(tmp_path: Path) -> None:
    functional().save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        file.attrs["more"] = ["a text of its own"] * 400
    content = bytearray((tmp_path / "m.weights.h5").read_bytes())
    starts = [i for i in range(len(content)) if content.startswith(SIGNATURE, i)]
    assert starts
    assert [start % 8 for start in starts] == [0] * len(starts)
    check_heaps(io.BytesIO(content))
    content[starts[-1] + 16 : starts[-1] + 32] = bytes(16)
    with pytest.raises(ModelUnreadable, match="names is broken"):
        check_heaps(io.BytesIO(content))
    (tmp_path / "bad.weights.h5").write_bytes(content)
    refused(tmp_path / "bad.weights.h5", ModelUnreadable, "damaged", "Send it again")


def test_a_text_that_claims_to_be_longer_than_the_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    functional().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        length = len(file.attrs["model_config"])
    content = bytearray((tmp_path / "m.h5").read_bytes())
    check_heaps(io.BytesIO(content))
    start = content.find(b"model_config\0")
    at = content.find(length.to_bytes(4, "little"), start)
    assert 0 < at - start < 100
    content[at : at + 4] = (1 << 31).to_bytes(4, "little")
    (tmp_path / "bad.h5").write_bytes(content)
    refused(tmp_path / "bad.h5", ModelUnreadable, "claims to be longer than the file")

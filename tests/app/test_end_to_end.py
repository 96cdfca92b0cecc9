"""Real models through a real server: one that works in two formats, and everything that people send by mistake."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.app.conftest import check_problem
from tests.app.served import ROOT, Server


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


X = np.random.default_rng(1).normal(3, 2, (32, 4)).astype("float32")
Y = (X[:, 0] > 3).astype("int64")


def declared_huge() -> bytes:
    """An array file of 1 KiB that says it holds 2 GiB."""
    header = repr({"descr": "<f4", "fortran_order": False, "shape": (2**27, 4)}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(900)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_model_is_diagnosed_and_repaired(real: Server, files: dict[str, bytes], name: str) -> None:
    answer = real.post(files[name], files["batch.npz"], model_name=name, data={"seed": "1"})
    assert answer.status_code == 200, answer.text
    report = json.loads(answer.text, parse_constant=lambda constant: pytest.fail(constant))
    assert report["verdict"] == "phase_gap"
    assert [layer["path"].rpartition("/")[2] for layer in report["layers"]] == ["norm"]
    assert report["environment"]["isolation"]
    assert any(remedy["repaired_model"] for remedy in report["remedies"])
    repaired = real.get(f"{answer.headers['location']}/model")
    assert repaired.status_code == 200
    assert repaired.content[:4] == files[name][:4]
    assert repaired.content != files[name]


def test_weights_alone_are_described_and_nothing_is_run(real: Server, files: dict[str, bytes]) -> None:
    answer = real.post(files["only.weights.h5"], files["batch.npz"], model_name="only.weights.h5")
    assert answer.status_code == 200, answer.text
    report = json.loads(answer.text, parse_constant=lambda constant: pytest.fail(constant))
    assert (report["verdict"], report["remedies"]) == ("inconclusive", [])
    assert report["model"]["static"]["weights_only"]
    assert real.get(f"{answer.headers['location']}/model").status_code == 404
    page = real.get(f"{answer.headers['location']}/report", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Neither was run" in page.text
    assert "Largest variance" in page.text
    assert "NaN" not in page.text


def test_the_same_input_gives_the_same_report(real: Server, files: dict[str, bytes]) -> None:
    first, second = (real.post(files["model.keras"], files["batch.npz"], data={"seed": "5"}).json() for _ in range(2))
    for varying in ("id", "created_at", "timing_s"):
        first.pop(varying)
        second.pop(varying)
    assert first == second


STATUSES = {"payload_too_large": 413, "unsupported_model_format": 415}
Case = tuple[str, str, Callable[[dict[str, bytes]], tuple[bytes, bytes]], tuple[str, ...], tuple[str, ...]]
MISTAKES: list[Case] = [
    ("text", "m.keras", lambda f: (b"hello", f["batch.npz"]), ("model_unreadable",), ()),
    ("junk in a zip", "m.keras", lambda f: (b"PK\x03\x04" + b"junk" * 500, f["batch.npz"]), ("model_unreadable",), ()),
    ("truncated zip", "m.keras", lambda f: (f["model.keras"][:9000], f["batch.npz"]), ("model_unreadable",), ()),
    ("truncated h5", "m.h5", lambda f: (f["model.h5"][:9000], f["batch.npz"]), ("model_unreadable",), ()),
    ("custom", "m.keras", lambda f: (f["custom.keras"], f["batch.npz"]), ("model_needs_custom_code",), ("Doub",)),
    ("lambda", "m.keras", lambda f: (f["lambda.keras"], f["batch.npz"]), ("model_unsafe",), ("lambda",)),
    ("wrong shape", "m.keras", lambda f: (f["model.keras"], npz(x=X[:, :3])), ("batch_mismatch",), ("4", "3")),
    ("no x", "m.keras", lambda f: (f["model.keras"], npz(z=X)), ("batch_unreadable", "batch_mismatch"), ("x",)),
    ("strings", "m.keras", lambda f: (f["model.keras"], npz(x=X.astype("U8"))), ("batch_mismatch",), ()),
    ("complex", "m.keras", lambda f: (f["model.keras"], npz(x=X.astype("c8"))), ("batch_mismatch",), ()),
    ("pickles", "m.keras", lambda f: (f["model.keras"], npz(x=X.astype(object))), ("batch_unreadable",), ()),
    ("no samples", "m.keras", lambda f: (f["model.keras"], npz(x=X[:0])), ("batch_too_small",), ()),
    ("fewer labels", "m.keras", lambda f: (f["model.keras"], npz(x=X, y=Y[:9])), ("batch_mismatch",), ("32", "9")),
    ("declares 2 GiB", "m.keras", lambda f: (f["model.keras"], declared_huge()), ("batch_unreadable",), ()),
    ("too large", "m.keras", lambda f: (b"PK\x03\x04" + bytes(21_000_000), f["batch.npz"]), ("payload_too_large",), ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "make", "codes", "words"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_mistakes_are_named_and_the_next_request_is_answered(
    real: Server,
    files: dict[str, bytes],
    name: str,
    make: Callable[[dict[str, bytes]], tuple[bytes, bytes]],
    codes: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    model, batch = make(files)
    batch_name = "batch.npy" if batch.startswith(b"\x93NUMPY") else "batch.npz"
    answer = real.post(model, batch, model_name=name, batch_name=batch_name)
    code = answer.json().get("code")
    assert code in codes, answer.text
    detail = check_problem(answer, code, STATUSES.get(code, 422))["detail"]
    assert all(word in detail for word in words), detail
    assert real.post(files["model.keras"], files["batch.npz"]).status_code == 200


def test_a_batch_with_nan_is_answered_in_valid_json(real: Server, files: dict[str, bytes]) -> None:
    spoiled = X.copy()
    spoiled[3, 1] = np.nan
    answer = real.post(files["model.keras"], npz(x=spoiled, y=Y))
    assert answer.status_code in (200, 422), answer.text
    json.loads(answer.text, parse_constant=lambda constant: pytest.fail(constant))
    if answer.status_code == 200:
        assert answer.json()["batch"]["inputs"][0]["non_finite"] == 1
    else:
        assert check_problem(answer, answer.json()["code"], 422)["code"].startswith("batch_")


def test_the_command_line_diagnoses_without_a_server(files: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("model.keras", "batch.npz"):
        (tmp_path / name).write_bytes(files[name])
    command = [sys.executable, "-m", "app.cli", "diagnose", str(tmp_path / "model.keras"), str(tmp_path / "batch.npz")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    extra = ["--json", "--repaired", str(tmp_path / "repaired.keras"), "--reported", '{"accuracy": 1.0}']
    told = subprocess.run([*command, *extra], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["verdict"] == "phase_gap"
    assert told.stderr == ""
    assert (tmp_path / "repaired.keras").is_file()
    (tmp_path / "model.keras").write_bytes(b"hello")
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "model" in refused.stderr

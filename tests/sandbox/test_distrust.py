"""Nothing that a guest leaves is believed unchecked, followed, waited for or kept."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("report_is_a_folder", "worker_crashed"),
        ("report_is_endless", "worker_crashed"),
        ("report_is_nonsense", "internal"),
        ("report_is_of_another", "internal"),
        ("repair_is_missing", "internal"),
        ("error_is_invented", "internal"),
    ],
)
def test_a_false_answer_is_thrown_away(prepare, payload, code):
    run = prepare(payload)
    outcome = run()
    assert (outcome.kind, outcome.code, outcome.repaired_file) == ("crashed", code, None)
    assert "evil" not in outcome.detail


def test_only_sound_progress_is_passed_on(prepare):
    run = prepare("lies_about_progress")
    assert run().kind == "succeeded"
    assert run.progress == [("load", 0.5)]


@pytest.mark.parametrize("payload", ["digs_deep", "writes_many_files", "good"])
def test_nothing_but_the_agreed_files_stays(prepare, payload):
    run = prepare(payload)
    run()
    left = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*")}
    files = {"progress.jsonl", "report.json", "guest.log", "error.json"}
    assert left <= {"in", "in/model.keras", "in/batch.npz", "task.json", "out", *(f"out/{name}" for name in files)}


def test_a_guest_starts_with_nothing_of_its_host(prepare, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "canary")
    run = prepare("looks_around")
    assert run().kind == "succeeded"
    seen = json.loads(json.loads((run.folder / "out" / "report.json").read_text())["headline"])
    assert seen["targets"] == ["/dev/null"] * 3
    # The three streams, the log, and the folder that was being listed.
    assert len(seen["descriptors"]) <= 5
    assert set(seen["environment"]) <= {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"}
    assert seen["session"] is True
    assert seen["no_new_privs"] == "1"
    assert seen["cwd"].endswith("scratch")

"""Every way in which a guest can end becomes one named outcome, and the next guest is none the worse for it."""

from __future__ import annotations

import errno
import json
import os
import time

import pytest

from analyzers.report import Report


def test_a_report_arrives_with_progress(prepare):
    run = prepare("good")
    outcome = run()
    assert (outcome.kind, outcome.code, outcome.detail, outcome.repaired_file) == ("succeeded", None, None, None)
    assert run.progress == [("load", 0.25), ("measure", 0.5), ("explain", 0.75), ("verify", 1.0)]
    report = Report.model_validate_json((run.folder / "out" / "report.json").read_bytes())
    assert report.id == "d-1"
    assert report.environment.isolation == run.sandbox.isolation
    assert outcome.peak_memory_bytes is not None
    assert 0 < outcome.seconds < 30


def test_the_report_on_disk_is_strict_json(prepare):
    run = prepare("good")
    run()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    text = (run.folder / "out" / "report.json").read_text()
    assert json.loads(text, parse_constant=refuse)["phases"]["difference"]["noise_floor"] == "NaN"


def test_tensorflow_computes_in_a_guest(prepare):
    run = prepare("computes")
    assert run().kind == "succeeded"


def test_a_repaired_model_is_handed_over(prepare):
    run = prepare("good_with_repair")
    outcome = run()
    assert outcome.kind == "succeeded"
    assert (run.folder / str(outcome.repaired_file)).read_bytes() == b"a repaired model"


def test_a_refusal_keeps_its_words(prepare):
    outcome = prepare("refuses")()
    assert (outcome.kind, outcome.code) == ("refused", "batch_mismatch")
    assert outcome.detail == "input `image` wants (None, 2), the batch has (8, 3)."


def test_an_unexpected_error_is_told_to_the_operator_only(prepare):
    run = prepare("fails")
    outcome = run()
    assert (outcome.kind, outcome.code) == ("crashed", "internal")
    assert "secret" not in str(outcome.detail)
    assert "a secret path" in (run.folder / "out" / "guest.log").read_text()


@pytest.mark.parametrize(
    ("payload", "kind", "code", "word"),
    [
        ("killed", "crashed", "worker_crashed", "SIGKILL"),
        ("segfault", "crashed", "worker_crashed", "SIGSEGV"),
        ("aborts", "crashed", "worker_crashed", "SIGABRT"),
        ("quits", "crashed", "worker_crashed", "without a report"),
        ("exits", "crashed", "internal", "unexpected"),
        ("fails_wrapped", "out_of_memory", "out_of_memory", "1.57 GB"),
        ("asks_for_a_terabyte", "out_of_memory", "out_of_memory", "fewer samples"),
        ("asks_tensorflow_for_a_terabyte", "out_of_memory", "out_of_memory", "fewer samples"),
        ("grows", "out_of_memory", "out_of_memory", "1.57 GB"),
        ("grows_shared", "out_of_memory", "out_of_memory", "1.57 GB"),
        ("writes_a_huge_file", "refused", "payload_too_large", "67.1 MB"),
        ("writes_many_files", "refused", "payload_too_large", "67.1 MB"),
    ],
)
def test_a_bad_end_is_named(prepare, payload, kind, code, word):
    run = prepare(payload)
    outcome = run()
    assert (outcome.kind, outcome.code) == (kind, code)
    assert word in outcome.detail
    assert str(run.folder) not in outcome.detail
    assert prepare("good")().kind == "succeeded"


def test_an_endless_loop_meets_its_deadline(prepare):
    began = time.monotonic()
    outcome = prepare("spins", wall_seconds=1)()
    assert (outcome.kind, outcome.code) == ("timed_out", "deadline_exceeded")
    assert "1 seconds" in outcome.detail
    assert time.monotonic() - began < 3


def test_processor_time_is_limited_by_the_kernel(prepare):
    outcome = prepare("spins", cpu_seconds=1)()
    assert (outcome.kind, outcome.code) == ("timed_out", "deadline_exceeded")
    assert "processor time" in outcome.detail


def test_memory_is_stopped_close_to_its_limit(prepare):
    run = prepare("grows", memory_bytes=600 << 20)
    outcome = run()
    assert outcome.kind == "out_of_memory"
    assert outcome.peak_memory_bytes < 700 << 20


def test_floods_on_the_streams_go_nowhere(prepare):
    assert prepare("floods_streams")().kind == "succeeded"


def test_a_run_can_be_cancelled_within_a_second(prepare):
    run = prepare("spins")
    began = time.monotonic()
    outcome = run(should_stop=lambda: time.monotonic() - began > 0.3)
    assert outcome.kind == "cancelled"
    assert time.monotonic() - began < 1.3
    assert prepare("good")().kind == "succeeded"


def test_an_error_in_the_callback_leaves_no_guest(prepare):
    run = prepare("spins")

    def fail() -> bool:
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError, match="database"):
        run(should_stop=fail)
    assert not os.path.exists(f"/proc/{(run.folder / 'out' / 'pid').read_text()}")


def test_names_with_folders_are_refused(sandbox, tmp_path):
    from app.sandbox.protocol import Limits, Task

    task = Task(diagnosis_id="x", model_file="../model.keras", batch_file="b.npz")
    limits = Limits(memory_bytes=1, wall_seconds=1, output_bytes=1, cpu_seconds=1)
    with pytest.raises(ValueError, match="plain names"):
        sandbox.run(tmp_path, task, limits, on_progress=lambda *_: None, should_stop=lambda: False)


def test_a_full_disk_is_nobodys_fault(prepare, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("app.sandbox.jobfolder.Path.write_text", fail)
    outcome = prepare("good")()
    assert (outcome.kind, outcome.code) == ("crashed", "insufficient_storage")


def test_a_guest_that_cannot_lock_itself_in_touches_nothing(prepare):
    run = prepare("good", cpu_seconds=1e30)
    assert (run().kind, run.outcome.code) == ("crashed", "worker_crashed")
    assert "no fault of the model" in run.outcome.detail
    assert "limit_resources" in (run.folder / "out" / "guest.log").read_text()

"""The load in small, with a worker that plays scripts: what is measured is measured, and what does not hold is told."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import load, service
from benchmarks.probe import Samples
from tests.app.double import script
from tests.app.served import DOUBLE, SERVE

HEALTH_SECONDS = 2.0
"""Ten times what is promised: the tests run beside others."""


class Scripted(service.Service):
    """The service with the scripted worker."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", SERVE.format(worker=repr(DOUBLE)), str(self.port)]


def test_a_crowd_beyond_capacity_gets_answers_and_leaves_nothing(tmp_path: Path) -> None:
    limits = {"slots": 2, "queue_limit_jobs": 4, "submissions_per_minute_limit": 12}
    server = Scripted(tmp_path, data_dir=tmp_path, **limits)
    result = load.run(24, 4.0, server, (script(seconds=0.5), b"PK\x03\x04batch"))
    assert result.failures(HEALTH_SECONDS) == []
    assert set(result.answers.statuses) > {429, 503}
    assert len(result.answers.accepted) >= 4
    assert all(len(samples.seconds) > 20 for samples in result.health.values())
    assert "p99" in result.table()


def test_what_does_not_hold_is_told() -> None:
    good = load.Result(
        load.Answers(), {"/health/live": Samples([0.01], [200])}, {"web": [1, 1]}, {"a": "succeeded"}, [], [], 0
    )
    assert good.failures() == []
    answers = load.Answers(accepted={"lost"}, odd=["500"])
    bad = {
        "other answers": replace(good, answers=replace(answers, accepted=set())),
        "accepted and not ended": replace(good, answers=replace(answers, odd=[])),
        "p99": replace(good, health={"/health/live": Samples([0.3], [200])}),
        "not healthy": replace(good, health={"/health/live": Samples([0.01], [503])}),
        "memory grew": replace(good, memory={"web": [1, 1 << 30]}),
        "files left": replace(good, files=["x"]),
        "processes left": replace(good, processes=[1]),
        "exit code": replace(good, exit_code=1),
    }
    for words, result in bad.items():
        assert [failure.startswith(words) for failure in result.failures()] == [True], words

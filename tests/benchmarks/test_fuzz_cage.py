"""The fuzzing of whole guests in small: every end is one that the contract knows, and what is not is counted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from app.sandbox.protocol import Outcome
from benchmarks.fuzz_cage import corpus
from benchmarks.fuzz_cage.__main__ import Tally, fuzz
from benchmarks.fuzz_cage.trial import CONTROL_EVERY, DEADLINE_SECONDS, Verdict, _trouble, upload

COUNT = 10


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return corpus.make(tmp_path_factory.mktemp("corpus"))


def test_spoilt_files_end_as_the_contract_says_and_leave_nothing(files: list[Path]) -> None:
    assert len(files) == corpus.SIZE
    tally = fuzz(range(COUNT), files)
    assert tally.failures == []
    assert tally.endings.total() == COUNT
    assert tally.sound == 1  # the first is sound, and succeeded among the others
    assert tally.endings["succeeded: None"] >= 1
    assert len(tally.endings) > 2


def test_numbers_give_files_and_most_of_them_are_spoilt(files: list[Path]) -> None:
    sent = [upload(index, files) for index in range(1, CONTROL_EVERY)]
    assert [upload(index, files) for index in range(1, CONTROL_EVERY)] == sent
    spoilt = [u for u in sent if u.contents != (u.model.read_bytes(), u.batch.read_bytes())]
    assert len(spoilt) > 0.8 * len(sent)
    assert len({u.model for u in spoilt}) > 6


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(kind="crashed", code="internal", detail="x" * 40), "internal"),
        (Outcome(kind="refused", code="made_up", detail="x" * 40), "contract"),
        (
            Outcome(kind="refused", code="model_unsafe", detail=f"see {tempfile.gettempdir()}/model.keras please"),
            "should not",
        ),
        (Outcome(kind="refused", code="model_unsafe", detail="no"), "no words"),
        (Outcome(kind="timed_out", code="deadline_exceeded", detail="x" * 40, seconds=DEADLINE_SECONDS + 11), "gone"),
        (Outcome(kind="refused", code="model_unsafe", detail="x" * 40), None),
    ],
)
def test_what_the_service_is_to_blame_for_is_told(
    outcome: Outcome, words: str | None, files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    trouble = _trouble(upload(1, files), outcome, tmp_path)
    assert trouble is None if words is None else words in str(trouble)
    tally = Tally()
    tally.add(Verdict(1, "m b", "ending", 1.0, trouble, None), sound=False)
    assert len(tally.failures) == (words is not None)

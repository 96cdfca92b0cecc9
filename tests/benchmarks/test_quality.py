"""The quality benchmark makes specimens that show their fault, and counts a wrong answer as wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

import analyzers
from analyzers.causes import registered
from analyzers.report import Report
from benchmarks.quality import catalogue, expectations, store, training
from benchmarks.quality.judging import judge
from benchmarks.quality.nets import NETS, built, norms, sample
from benchmarks.quality.registry import ENTRIES, orders
from benchmarks.quality.settings import Recipe, Setting
from benchmarks.quality.specimens import Order
from benchmarks.quality.store import Stored
from benchmarks.quality.table import Row, failed, macro_average, missed, row, table

CHOSEN = (("healthy", "converged"), ("never", "labelled"), ("rescaled", "factor"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test's own, so that it tests what the code makes now."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CACHE", folder)
        patch.setattr(store, "CACHE", folder)
        yield folder


def order(mechanism: str, variant: str) -> Order:
    return Order(mechanism, variant, "mlp", 7, 2, ("softmax",))


@pytest.fixture(scope="module")
def diagnosed(cache: Path) -> dict[str, tuple[Stored, Report, Path]]:
    """Specimens by mechanism, each with its report and the place of a repaired model."""
    made = {}
    for mechanism, variant in CHOSEN:
        stored = store.fetch(catalogue.entry(mechanism, variant), order(mechanism, variant))
        assert stored is not None
        repaired = cache / f"{mechanism}{stored.model.suffix}"
        report = analyzers.diagnose_files(
            stored.model, stored.folder / "batch.npz", repaired_path=repaired, **stored.options
        )
        made[mechanism] = (stored, report, repaired)
    return made


def test_right_answers_are_right(diagnosed: dict[str, tuple[Stored, Report, Path]]) -> None:
    judged = {name: judge(*one) for name, one in diagnosed.items()}
    assert {name: j.outcome for name, j in judged.items()} == dict.fromkeys(judged, "right")
    assert judged["never"].recovered is not None
    assert judged["never"].recovered > 0.5


def off_centre(stored: Stored, path: Path) -> Path:
    """The specimen's model with statistics that break it, as a repaired model."""
    model = keras.models.load_model(stored.model, compile=False)
    for norm in norms(model):
        norm.moving_mean.assign_add(5.0 * keras.ops.sqrt(norm.moving_variance))
    model.save(path)
    return path


def test_a_wrong_answer_is_counted_as_wrong(diagnosed: dict[str, tuple[Stored, Report, Path]], tmp_path: Path) -> None:
    stored, _, _ = diagnosed["rescaled"]
    _, other, _ = diagnosed["never"]
    judgement = judge(stored, other, off_centre(stored, tmp_path / "repaired.keras"))
    assert judgement.outcome == "wrong"
    assert judgement.harm, "statistics of other data were written into a healthy model"
    assert judgement.unsafe == ["recalibrate_bn_statistics"]
    assert not judgement.marks["repaired"]
    printed = table([row(stored, judgement, other, 1.0)])
    assert "rescaled" in printed
    assert "harm by repaired models             1" in printed


def test_a_false_alarm_on_a_healthy_model_is_counted(diagnosed: dict[str, tuple[Stored, Report, Path]]) -> None:
    stored, own, repaired = diagnosed["healthy"]
    assert not judge(stored, own, repaired).false_alarm
    _, other, _ = diagnosed["never"]
    assert judge(stored, other, Path("none")).false_alarm


def test_an_error_misses_every_mark(diagnosed: dict[str, tuple[Stored, Report, Path]]) -> None:
    stored, report, repaired = diagnosed["never"]
    right = row(stored, judge(stored, report, repaired), report, 1.0)
    wrong = failed("x", "never", stored, ValueError("unreadable"), 1.0)
    assert missed(wrong)
    assert macro_average([right, wrong]) == 0.5


def test_a_second_run_makes_nothing_anew(cache: Path) -> None:
    entry, wanted = catalogue.entry("never", "labelled"), order("never", "labelled")
    before = (cache / wanted.name / "expect.json").stat().st_mtime_ns
    again = store.fetch(entry, wanted)
    assert again is not None
    assert (cache / wanted.name / "expect.json").stat().st_mtime_ns == before


def test_measuring_the_training_phase_leaves_the_model_as_it_was() -> None:
    setting = Setting("plain", "softmax", 3)
    model = built(setting, Recipe())
    before = [np.array(w) for w in model.get_weights()]
    training.outputs(model, sample(setting, 64, "batch")[0], 32, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_fault_that_moves_nothing_may_be_called_none() -> None:
    seen = expectations.fault(expectations.LAG)
    soft = expectations.softened(seen)
    assert expectations.NO_GAP in soft.causes
    assert expectations.NO_GAP not in seen.causes
    assert not soft.visible


def test_every_cause_of_the_closed_list_has_specimens_and_seeds_differ() -> None:
    wanted = set(expectations.RULES) | {expectations.NO_GAP, expectations.ROUNDING}
    assert wanted == {cause.code for cause in registered()}
    one, two = ([(o.mechanism, o.net, o.severity) for _, o in orders(seed)] for seed in (0, 1))
    assert (
        len(one)
        == len(two)
        == sum(min(e.repeats, len(e.nets)) for e in ENTRIES if e.heads is None)
        + sum(1 for entry, _ in orders(0) if entry.heads is not None)
    )
    assert one != two


@pytest.mark.parametrize("net", sorted(NETS))
def test_every_network_has_the_normalizations_that_faults_need(net: str) -> None:
    setting = Setting(net, NETS[net].heads[0], 0)
    assert norms(built(setting, Recipe()))


def test_rows_carry_what_the_table_needs() -> None:
    assert {"mechanism", "cause", "judgement"} <= set(Row.__dataclass_fields__)

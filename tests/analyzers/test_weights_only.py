"""Weights that came without their model: what their statistics tell, said as what it is, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import analyzers
from analyzers.errors import BatchMismatch, BatchTooSmall, InvalidOption, NoPhaseInformation
from analyzers.report import Report
from app.jobs.models import Diagnosis
from app.pages.rendering import report_page
from app.terminal import print_report

L = keras.layers


def network(*middle: Any) -> keras.Model:
    """A small network that nobody has trained."""
    return keras.Sequential([L.Input((4,)), L.Dense(6), L.BatchNormalization(name="norm"), *middle, L.Dense(2)])


def stepped(steps: int, momentum: float = 0.99) -> keras.Model:
    model = keras.Sequential([L.Input((4,)), L.Dense(6), L.BatchNormalization(momentum=momentum), L.Dense(2)])
    model.compile("adam", "mse")
    model.fit(np.random.default_rng(0).normal(0, 0.2, (8 * steps, 4)), np.ones((8 * steps, 2)), 8, verbose=0)
    return model


def report_of(model: keras.Model, folder: Path, **options: Any) -> Report:
    model.save_weights(folder / "m.weights.h5")
    np.savez(folder / "b.npz", x=np.ones((16, 4), "float32"), y=np.zeros(16, "int64"))
    report = analyzers.diagnose_files(folder / "m.weights.h5", folder / "b.npz", **options)
    assert (report.verdict, report.primary_cause, report.remedies) == ("inconclusive", None, [])
    assert "Only the weights" in report.headline
    assert "model.save('model.keras')" in report.headline
    assert all(c.severity == "warning" and c.confidence <= 0.5 for c in report.causes)
    return report


def test_healthy_weights_are_described_and_no_more(tmp_path: Path) -> None:
    report = report_of(stepped(4, momentum=0.1), tmp_path, reported={"accuracy": 0.9}, repaired_path=tmp_path / "r")
    assert (report.severity, report.causes) == ("info", [])
    assert [(x.channels, x.status) for x in report.layers] == [(6, "not_reached")]
    assert np.isnan(report.layers[0].momentum)
    assert np.isnan(report.phases.difference.relative_output_rms)
    assert report.phases.inference.loss is None
    assert [f.reproduced_by for f in report.phases.reported] == ["not_computed"]
    assert (report.batch.samples, report.batch.inputs[0].mean, report.phases.batch_size) == (16, 1.0, 16)
    assert [(c.name, c.passed) for c in report.checks] == [("run", None)]
    assert not (tmp_path / "r").exists()
    json.loads(report.model_dump_json(), parse_constant=lambda constant: pytest.fail(constant))


def test_impossible_statistics_are_named(tmp_path: Path) -> None:
    model = network()
    model.get_layer("norm").moving_variance.assign([1.0, np.nan, -2.0, 1.0, 1.0, 1.0])
    report = report_of(model, tmp_path)
    assert (report.severity, [c.code for c in report.causes]) == ("warning", ["bn_corrupt_statistics"])
    assert [e.value for e in report.causes[0].evidence] == [2]
    assert report.layers[0].status == "corrupt"


def test_statistics_at_their_start_beside_trained_weights(tmp_path: Path) -> None:
    model = network()
    assert report_of(model, tmp_path).causes == []
    model.layers[0].bias.assign(np.arange(6) / 7)
    report = report_of(model, tmp_path)
    assert [c.code for c in report.causes] == ["bn_statistics_never_updated"]
    assert report.layers[0].status == "never_updated"


@pytest.mark.parametrize(("momentum", "found"), [(0.99, ["bn_statistics_unconverged"]), (0.5, [])])
def test_few_steps_are_a_lag_only_where_the_variances_allow_that_momentum(
    momentum: float, found: list[str], tmp_path: Path
) -> None:
    report = report_of(stepped(5, momentum), tmp_path)
    assert [c.code for c in report.causes] == found
    if found:
        assert "5 steps" in report.causes[0].explanation
        assert "default momentum, 0.99, which the file does not tell" in report.causes[0].explanation


def test_a_checkpoint_is_described_too(tmp_path: Path) -> None:
    model = stepped(5)
    tf.train.Checkpoint(model=model).write(str(tmp_path / "c" / "ckpt"))
    np.save(tmp_path / "b.npy", np.ones((8, 4)))
    archive = shutil.make_archive(str(tmp_path / "c"), "zip", tmp_path / "c")
    report = analyzers.diagnose_files(Path(archive), tmp_path / "b.npy")
    assert report.model.format == "checkpoint"
    assert [c.code for c in report.causes] == ["bn_statistics_unconverged"]


def test_other_normalizations_hold_no_moving_statistics(tmp_path: Path) -> None:
    model = keras.Sequential([L.Input((4,)), L.Dense(6), L.LayerNormalization(), L.GroupNormalization(2), L.Dense(2)])
    with pytest.raises(NoPhaseInformation, match="without moving statistics"):
        report_of(model, tmp_path)


def test_batches_and_options_are_refused_as_always(tmp_path: Path) -> None:
    network().save_weights(tmp_path / "m.weights.h5")
    np.savez(tmp_path / "few.npz", x=np.ones((9, 4)), y=np.zeros(3))
    np.savez(tmp_path / "none.npz", x=np.ones((0, 4)))
    np.savez(tmp_path / "two.npz", x_a=np.ones((4, 4)), x_b=np.ones((4, 1)))
    for name, error in (("few", BatchMismatch), ("none", BatchTooSmall)):
        with pytest.raises(error):
            analyzers.diagnose_files(tmp_path / "m.weights.h5", tmp_path / f"{name}.npz")
    with pytest.raises(InvalidOption):
        analyzers.diagnose_files(tmp_path / "m.weights.h5", tmp_path / "two.npz", batch_size=0)
    report = analyzers.diagnose_files(tmp_path / "m.weights.h5", tmp_path / "two.npz")
    assert [x.name for x in report.batch.inputs] == ["a", "b"]


def test_people_are_told_that_nothing_was_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(network(), tmp_path).model_dump(mode="json")
    diagnosis = Diagnosis(id="d", status="succeeded", model_name="m", model_stem="m", model_file="m.weights.h5")
    diagnosis.has_repaired_model = False
    page = report_page(diagnosis, report)
    assert "Neither was run" in page
    assert "the outputs differ by" not in page
    assert "Send more samples" not in page
    print_report(report)
    assert "neither was run" in capsys.readouterr().out

"""Live Keras models through the client and a real service: diagnosed, repaired in place, and left alone where not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import phasegap
from tests import specimens
from tests.app.double import canned_report
from tests.app.served import ROOT, Server


def sick() -> Any:
    return specimens.copy_of(specimens.trained(momentum=0.999, epochs=2))


def values(model: Any) -> list[Any]:
    return [np.asarray(v).copy() for v in (*model.variables, *model.optimizer.variables)]


def unchanged(before: list[Any], model: Any) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(before, values(model), strict=True))


@pytest.fixture(scope="module")
def diagnosed(real: Server) -> tuple[Any, phasegap.Report]:
    model = sick()
    before = values(model)
    with phasegap.Client(real.url) as client:
        report = client.diagnose(model, *specimens.data(128, seed=9))
    assert unchanged(before, model)
    return model, phasegap.Report(report.data, phasegap.Client(real.url))


def test_verified_statistics_repair_the_live_model(diagnosed: tuple[Any, phasegap.Report]) -> None:
    model, report = diagnosed
    x, y = specimens.data(256, seed=10)
    before, untouched = model.evaluate(x, y, verbose=0)[1], values(model)
    applied = report.apply(model)
    assert model.evaluate(x, y, verbose=0)[1] > before + 0.2
    moved = {v.path for v, old in zip(model.variables, untouched, strict=False) if not np.array_equal(v, old)}
    assert {path.rpartition("/")[2] for path in moved} == {"moving_mean", "moving_variance"}
    assert {change.layer.rpartition("/")[2] for change in applied.changes} == {"norm_0", "norm_1", "norm_2"}
    assert "new moving statistics in 3 layers" in str(applied)
    with pytest.raises(phasegap.ApplyRefused, match="already"):
        report.apply(model)
    applied.undo()
    assert unchanged(untouched, model)


def test_other_weights_are_refused_and_put_back(diagnosed: tuple[Any, phasegap.Report]) -> None:
    model, report = diagnosed
    further = specimens.copy_of(model)
    further.fit(*specimens.data(64, seed=3), verbose=0)
    before = values(further)
    with pytest.raises(phasegap.ApplyRefused, match=r"not those that were diagnosed.*kernel"):
        report.apply(further)
    assert unchanged(before, further)


def test_other_models_are_refused(diagnosed: tuple[Any, phasegap.Report]) -> None:
    _, report = diagnosed
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(phasegap.ApplyRefused, match="no layer `net/norm_0`"):
        report.apply(dense)
    with pytest.raises(phasegap.ApplyRefused, match="parameters"):
        report.apply(keras.Sequential([keras.Input((12, 12, 3)), *specimens.network().layers, keras.layers.Dense(1)]))
    with pytest.raises(phasegap.ApplyRefused, match="live Keras model"):
        report.apply(3)
    with pytest.raises(phasegap.ApplyRefused, match="not built"):
        report.apply(keras.Sequential([keras.layers.BatchNormalization()]))


def test_what_is_not_verified_is_refused(tmp_path: Path) -> None:
    document = canned_report("d1", "m", "net/norm_0").model_dump(mode="json")
    with pytest.raises(phasegap.ApplyRefused, match=r"no fix that changes stored statistics only.*Recalibrate"):
        phasegap.Report.of(document).apply(sick())
    document["remedies"][0]["repaired_model"] = True
    for status, words in (("not_tested", "allow_not_tested=True"), ("rejected", "did not help")):
        document["remedies"][0]["verification"]["status"] = status
        with pytest.raises(phasegap.ApplyRefused, match=words):
            phasegap.Report.of(document).apply(sick())


def test_a_file_is_as_good_as_a_live_model(
    real: Server, diagnosed: tuple[Any, phasegap.Report], tmp_path: Path
) -> None:
    model, report = diagnosed
    model.save(tmp_path / "mine.h5")
    np.savez(tmp_path / "batch.npz", **dict(zip("xy", specimens.data(128, seed=9), strict=True)))
    with phasegap.Client(real.url) as client:
        other = client.diagnose(tmp_path / "mine.h5", tmp_path / "batch.npz")
        assert (other.verdict, other.primary_cause) == (report.verdict, report.primary_cause)
        repaired = other.download_repaired(tmp_path)
        assert repaired.name == f"{other.id}-repaired.h5"
        twin = specimens.copy_of(model)
        other.apply(twin, repaired=repaired)
    report.apply(model)
    for one, another in zip(specimens.norms(model), specimens.norms(twin), strict=True):
        np.testing.assert_allclose(one.moving_mean, another.moving_mean, rtol=1e-5, atol=1e-6)


def test_the_example_of_the_readme(real: Server, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (block,) = [block for block in blocks if "phasegap.Client" in block]
    x, y = specimens.data(128, seed=9)
    exec(block.replace("http://127.0.0.1:8000", real.url), {"model": sick(), "x": x, "y": y})
    told = capsys.readouterr().out
    for part in ("bn_statistics_unconverged", "share_of_gap", "new moving statistics in 3 layers"):
        assert part in told

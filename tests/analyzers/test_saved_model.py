"""SavedModels without their Python code: both phases, the same figures as from the Keras model, the repaired model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import analyzers
from analyzers.errors import BatchTooSmall, NoPhaseInformation
from analyzers.report import Report
from tests import specimens
from tests.saved_models import Network, export, packed, save_module, unpacked

L = keras.layers


def diagnosed(model: Path, folder: Path, **arrays: Any) -> Report:
    options = {k: arrays.pop(k) for k in ("batch_size", "loss", "metrics", "repaired_path", "seed") if k in arrays}
    np.savez(folder / "batch.npz", **arrays)
    return analyzers.diagnose_files(model, folder / "batch.npz", **options)


def checks(report: Report) -> dict[str, bool | None]:
    return {c.name: c.passed for c in report.checks}


def nested() -> keras.Model:
    inside = keras.Input((5,))
    inner = keras.Model(inside, L.BatchNormalization(name="inner_bn")(L.Dense(5)(inside)), name="inner")
    given = keras.Input((4,), name="table")
    return keras.Model(given, L.Dense(3)(inner(L.BatchNormalization(name="outer_bn")(L.Dense(5)(given)))))


def two_inputs() -> keras.Model:
    first, second = keras.Input((4,), name="a"), keras.Input((6, 2), name="b")
    both = L.Concatenate()([first, L.Flatten()(L.BatchNormalization(name="steps")(second))])
    both = L.BatchNormalization(name="joined", momentum=0.8, epsilon=1e-4)(both)
    return keras.Model([first, second], [L.Dense(3, name="p")(both), L.Dense(1, name="q")(both)])


def shared() -> keras.Model:
    given, norm = keras.Input((4,)), L.BatchNormalization(name="twice", momentum=0.7)
    return keras.Model(given, L.Dense(3)(norm(L.Dense(4)(norm(given)))))


def channels_first() -> keras.Model:
    given = keras.Input((3, 8, 8))
    x = L.BatchNormalization(axis=1, name="norm")(given)
    return keras.Model(given, L.Dense(2)(L.Flatten()(x)))


def frozen() -> keras.Model:
    given = keras.Input((4,))
    fixed = L.BatchNormalization(name="fixed", trainable=False)
    return keras.Model(given, L.Dense(3)(L.BatchNormalization(name="free")(L.Dense(4)(fixed(given)))))


def recurrent() -> keras.Model:
    given = keras.Input((7, 3))
    x = L.LSTM(5, return_sequences=True)(L.BatchNormalization(name="before")(given))
    return keras.Model(given, L.Dense(2)(L.LSTM(4)(L.BatchNormalization(name="between")(x))))


BUILDS = {f.__name__: f for f in (nested, two_inputs, shared, channels_first, frozen, recurrent)}


def moved(model: keras.Model) -> dict[str, np.ndarray]:
    """Other weights, a few updates of the statistics, and a sample; inputs by the names that a batch has for them."""
    draw = np.random.default_rng(11)
    for variable in model.trainable_variables:
        variable.assign(draw.uniform(-1.0, 1.5, variable.shape).astype("float32"))
    arrays = [draw.normal(1.5, 2.0, (64, *t.shape[1:])).astype("float32") for t in model.inputs]
    for _ in range(7):
        model([a[:32] for a in arrays] if len(arrays) > 1 else arrays[0][:32], training=True)
    names = [f"x_{t.name}" for t in model.inputs] if len(arrays) > 1 else ["x"]
    return dict(zip(names, arrays, strict=True))


@pytest.mark.parametrize("build", BUILDS)
def test_figures_are_those_of_the_keras_model(build: str, tmp_path: Path) -> None:
    """Every layer's divergence, momentum, epsilon and share, to 1e-4; both phases' outputs likewise."""
    model = BUILDS[build]()
    arrays = moved(model)
    model.save(tmp_path / "m.keras")
    known = diagnosed(tmp_path / "m.keras", tmp_path, batch_size=16, **arrays)
    report = diagnosed(packed(export(model, tmp_path / "m"), tmp_path / "m.zip"), tmp_path, batch_size=16, **arrays)
    assert [x.path.rsplit("/", 1)[-1] for x in report.layers] == [x.path.rsplit("/", 1)[-1] for x in known.layers]
    for mine, theirs in zip(report.layers, known.layers, strict=True):
        figures = [(x.divergence.kl, x.divergence.mean_shift_sd, x.divergence.variance_ratio) for x in (mine, theirs)]
        assert figures[0] == pytest.approx(figures[1], rel=1e-4, abs=1e-7)
        assert (mine.momentum, mine.epsilon) == pytest.approx((theirs.momentum, theirs.epsilon), rel=1e-4)
        assert (mine.calls, mine.channels, mine.trainable) == (theirs.calls, theirs.channels, theirs.trainable)
        assert mine.share_of_gap == pytest.approx(theirs.share_of_gap, abs=1e-4)
    pair = [x.phases.difference.relative_output_rms for x in (report, known)]
    assert pair[0] == pytest.approx(pair[1], rel=1e-4)
    if build != "shared":  # two calls, each with its own draws of the floor: near the border either may fall
        assert (report.verdict, report.primary_cause) == (known.verdict, known.primary_cause)
    proofs = checks(report)
    assert all(proofs[name] for name in ("graph_as_saved", "replay_identity", "model_unchanged"))
    assert proofs["moving_variables_agree"] is (None if build == "shared" else True)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_the_repaired_model_is_a_saved_model_of_the_same_kind(kind: str, tmp_path: Path) -> None:
    """It loads, predicts what the recalibrated statistics give, and differs in nothing but those statistics."""
    s = specimens.lagging()
    folder = export(s.model, tmp_path / "m")
    if kind == "tar":
        (folder / "fingerprint.pb").write_bytes(b"\xff" * 40)  # nothing needs it to load the model
    upload = packed(folder, tmp_path / f"m.{kind}", inside="outer/model")
    repaired = tmp_path / f"repaired.{kind}"
    report = diagnosed(upload, tmp_path, x=s.x, y=s.y, repaired_path=repaired, metrics="accuracy")
    assert (report.primary_cause, report.recommended_fix) == ("bn_statistics_unconverged", "recalibrate_bn_statistics")
    assert report.remedies[0].repaired_model
    assert checks(report)["repaired_model_manifest"]
    old, new = unpacked(upload, tmp_path / "old"), unpacked(repaired, tmp_path / "new")
    assert new.relative_to(tmp_path / "new").as_posix() == "outer/model"
    changed = _changed_tensors(old, new)
    assert changed
    assert all("moving" in name for name in changed.values())
    x, y = s.held_out
    before, after = (_accuracy(tf.saved_model.load(str(folder)), x, y) for folder in (old, new))
    assert after > before + 0.1
    twin = specimens.copy_of(s.model)
    loaded = tf.saved_model.load(str(new))
    fresh = {"/".join(v.name.partition(":")[0].split("/")[-2:]): v.numpy() for v in loaded.variables}
    for norm in specimens.norms(twin):
        norm.moving_mean.assign(fresh[f"{norm.name}/moving_mean"])
        norm.moving_variance.assign(fresh[f"{norm.name}/moving_variance"])
    served = loaded.serve(x).numpy()
    np.testing.assert_allclose(served, twin.predict(x, verbose=0), atol=1e-5)


def _changed_tensors(old: Path, new: Path) -> dict[str, str]:
    """Names of the variables whose values differ, by their keys in the checkpoint."""
    one, two = (tf.saved_model.load(str(f)) for f in (old, new))
    names = {f"{i}": v.name for i, v in enumerate(one.variables)}
    pairs = zip(one.variables, two.variables, strict=True)
    assert (old / "saved_model.pb").read_bytes() == (new / "saved_model.pb").read_bytes()
    return {str(i): names[str(i)] for i, (a, b) in enumerate(pairs) if a.numpy().tobytes() != b.numpy().tobytes()}


def _accuracy(loaded: Any, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(loaded.serve(x).numpy().argmax(-1) == y))


def test_dropout_is_told_from_batch_statistics(tmp_path: Path) -> None:
    s = specimens.dropping()
    upload = packed(export(s.model, tmp_path / "m"), tmp_path / "m.zip")
    report = diagnosed(upload, tmp_path, x=s.x, y=s.y, metrics="accuracy")
    parts = report.phases.difference.by_mechanism
    assert report.primary_cause == "stochastic_layers_expected"
    assert parts.stochastic_layers > 5 * parts.batch_statistics
    assert report.phases.training.repeats > 1
    assert [p for p in report.model.stochastic_layers if "drop" in p] == report.model.stochastic_layers != []


def test_same_input_same_report(tmp_path: Path) -> None:
    s = specimens.dropping()
    upload = packed(export(s.model, tmp_path / "m"), tmp_path / "m.zip")
    first, second, other = (diagnosed(upload, tmp_path, x=s.x, y=s.y, seed=n) for n in (3, 3, 4))
    plain = [r.model_dump(mode="json", exclude={"created_at", "timing_s"}) for r in (first, second, other)]
    assert plain[0] == plain[1] != plain[2]


@pytest.mark.parametrize("flag", ["python", "tensor"])
@pytest.mark.parametrize("fused", [True, False])
def test_modules_of_bare_tensorflow(fused: bool, flag: str, tmp_path: Path) -> None:
    """No Keras, no metadata, the flag a Python value or a tensor: statistics, momentum and epsilon from the graph."""
    network = Network(momentum=0.93, epsilon=2e-3, fused=fused)
    x = np.random.default_rng(2).normal(1.0, 2.0, (64, 12, 12, 3)).astype("float32")
    for _ in range(5):
        network.run(x[:32], True)
    upload = packed(save_module(network, tmp_path / "m", flag=flag), tmp_path / "m.tar.gz")
    report = diagnosed(upload, tmp_path, x=x, batch_size=64)
    assert [(x.path, x.momentum, x.epsilon) for x in report.layers] == [("norm", 0.93, 2e-3), ("last", 0.93, 2e-3)]
    assert report.primary_cause == "bn_statistics_unconverged"
    assert report.layers[0].effective_updates == pytest.approx(5, abs=0.5)
    convolved = tf.nn.conv2d(x, network.kernel, 2, "SAME").numpy().astype("float64")
    worst = report.layers[0].divergence.worst_channels[0]
    assert worst.batch_mean == pytest.approx(convolved[..., worst.channel].mean(), rel=1e-4)
    assert worst.batch_variance == pytest.approx(convolved[..., worst.channel].var(), rel=1e-4)
    assert checks(report)["moving_variables_agree"] is True
    expected = [network.run(x, phase).numpy() for phase in (False, True)]
    spread = np.sqrt(np.mean([np.mean(np.square(e - e.mean(0))) for e in expected]))
    gap = np.sqrt(np.mean(np.square(expected[1] - expected[0]))) / spread
    assert report.phases.difference.relative_output_rms == pytest.approx(gap, rel=1e-3)


def test_a_fixed_batch_size_is_kept(tmp_path: Path) -> None:
    upload = packed(save_module(Network(fused=True), tmp_path / "m", batch=16), tmp_path / "m.zip")
    x = np.random.default_rng(2).normal(size=(40, 12, 12, 3)).astype("float32")
    assert diagnosed(upload, tmp_path, x=x).phases.batch_size == 16
    with pytest.raises(BatchTooSmall, match="16"):
        diagnosed(upload, tmp_path, x=x[:9])


def test_an_export_for_inference_gets_its_statistics_judged_and_no_more(tmp_path: Path) -> None:
    s = specimens.never_updated()
    s.model.export(str(tmp_path / "m"), verbose=False)
    repaired = tmp_path / "repaired.zip"
    upload = packed(tmp_path / "m", tmp_path / "m.zip")
    report = diagnosed(upload, tmp_path, x=s.x, y=s.y, repaired_path=repaired)
    assert (report.verdict, report.primary_cause, report.recommended_fix) == ("inconclusive", None, None)
    assert {x.status for x in report.layers} == {"never_updated"}
    assert "ExportArchive" in report.headline
    assert report.phases.training.loss is None
    assert report.phases.inference.loss is not None
    assert not repaired.exists()
    assert all(c.severity != "critical" for c in report.causes)


def test_without_both_phases_or_statistics_nothing_can_be_said(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    model.export(str(tmp_path / "m"), verbose=False)
    with pytest.raises(NoPhaseInformation, match="Export both phases"):
        diagnosed(packed(tmp_path / "m", tmp_path / "m.zip"), tmp_path, x=np.zeros((8, 4), "float32"))


def test_phases_that_cannot_differ_agree(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    upload = packed(export(model, tmp_path / "m"), tmp_path / "m.zip")
    report = diagnosed(upload, tmp_path, x=np.random.default_rng(0).normal(size=(32, 4)).astype("float32"))
    assert (report.verdict, report.phases.difference.relative_output_rms) == ("no_phase_gap", 0.0)

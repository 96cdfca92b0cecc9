"""The library as a whole, on models of every shape that the report promises to understand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.errors import BatchMismatch, InvalidOption
from analyzers.report import Report
from analyzers.subjects.keras_model import KerasSubject, State
from tests import specimens

rng = np.random.default_rng(0)


def plain_dict(report: Report) -> dict[str, Any]:
    """The report without what legitimately differs from run to run."""
    return report.model_dump(mode="json", exclude={"created_at", "timing_s"})


def test_same_input_same_report() -> None:
    s = specimens.dropping()
    first, second = (analyzers.diagnose(s.model, s.x, s.y, seed=3) for _ in range(2))
    assert plain_dict(first) == plain_dict(second)
    assert plain_dict(first) != plain_dict(analyzers.diagnose(s.model, s.x, s.y, seed=4))


def test_live_model_is_left_as_it_was() -> None:
    s = specimens.lagging()
    state = State(KerasSubject(s.model))
    steps = int(s.model.optimizer.iterations)
    before = s.model.predict(s.x, verbose=0)
    analyzers.diagnose(s.model, s.x, s.y)
    assert state.changed() == []
    assert int(s.model.optimizer.iterations) == steps
    np.testing.assert_array_equal(s.model.predict(s.x, verbose=0), before)
    s.model.fit(s.x, s.y, epochs=1, verbose=0)


def test_figures_are_those_of_keras() -> None:
    s = specimens.lagging()
    expected = s.model.evaluate(s.x, s.y, verbose=0, return_dict=True)
    report = analyzers.diagnose(s.model, s.x, s.y)
    assert report.phases.inference.loss == pytest.approx(expected["loss"], rel=1e-5)
    assert report.phases.inference.metrics["accuracy"] == pytest.approx(expected["accuracy"])


def test_losses_of_saturated_outputs_are_not_clipped() -> None:
    """`evaluate` takes the logits behind a softmax, where probabilities are below what a loss on them can tell."""
    s = specimens.healthy()
    head = s.model.layers[-1]
    head.kernel.assign(40.0 * np.array(head.kernel))
    wrong = (s.y + 1) % specimens.CLASSES
    expected = s.model.evaluate(s.x, wrong, verbose=0)[0]
    assert expected > 20.0  # clipped probabilities could not exceed 16.1
    assert analyzers.diagnose(s.model, s.x, wrong).phases.inference.loss == pytest.approx(expected, rel=1e-4)


def test_penalties_are_part_of_the_loss() -> None:
    regularizer = keras.regularizers.L2(0.01)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_regularizer=regularizer)])
    model.compile(loss="mse")
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")
    report = analyzers.diagnose(model, x, y)
    assert report.phases.inference.loss == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    penalty = report.phases.inference.regularization_loss
    assert penalty == pytest.approx(0.01 * float(np.square(np.array(model.layers[0].kernel)).sum()), rel=1e-5)


def test_without_labels_outputs_alone_are_compared() -> None:
    s = specimens.lagging()
    report = analyzers.diagnose(s.model, s.x)
    assert report.verdict == "phase_gap"
    assert report.phases.inference.loss is None
    assert report.phases.inference.metrics == {}
    assert report.batch.labels is None
    assert report.remedies[0].verification.status == "verified"


def test_shares_sum_to_the_gap_and_layers_flow() -> None:
    s = specimens.lagging()
    report = analyzers.diagnose(s.model, s.x, s.y)
    assert sum(x.share_of_gap for x in report.layers) == pytest.approx(1.0, abs=1e-6)
    assert [x.path for x in report.layers] == ["net/norm_0", "net/norm_1", "net/norm_2"]
    parts = report.phases.difference.by_mechanism.model_dump()
    assert sum(parts.values()) == pytest.approx(report.phases.difference.relative_output_rms)


def test_mechanisms_are_told_apart() -> None:
    """Dropout beside stale statistics: both are in the split, and it sums to the whole."""
    s = specimens.dropping()
    for norm in specimens.norms(s.model):
        norm.moving_variance.assign(2.0 * np.array(norm.moving_variance))
    difference = analyzers.diagnose(s.model, s.x, s.y).phases.difference
    parts = difference.by_mechanism
    assert parts.batch_statistics > 0.05
    assert abs(parts.stochastic_layers) > 0.01
    assert sum(parts.model_dump().values()) == pytest.approx(difference.relative_output_rms)


def two_by_two() -> tuple[Any, Any, Any]:
    a, b = keras.Input((6,), name="left"), keras.Input((4, 3), name="right")
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.BatchNormalization(name="bn")])
    joined = keras.layers.Concatenate()([inner(a), keras.layers.Flatten()(b)])
    outs = {"kind": keras.layers.Dense(3, activation="softmax", name="kind")(joined)}
    outs["size"] = keras.layers.Dense(1, name="size")(joined)
    model = keras.Model({"left": a, "right": b}, outs)
    model.compile(loss={"kind": "sparse_categorical_crossentropy", "size": "mse"}, metrics={"kind": ["accuracy"]})
    x = {"left": rng.normal(3, 2, (40, 6)).astype("float32"), "right": rng.normal(size=(40, 4, 3)).astype("float32")}
    return model, x, {"kind": rng.integers(0, 3, 40), "size": rng.normal(size=(40, 1)).astype("float32")}


def test_several_inputs_and_outputs() -> None:
    model, x, y = two_by_two()
    report = analyzers.diagnose(model, x, y)
    expected = model.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)
    assert report.phases.inference.loss == pytest.approx(expected["loss"], rel=1e-4)
    assert report.phases.inference.metrics["kind_accuracy"] == pytest.approx(expected["kind_accuracy"], abs=1e-6)
    assert [i.name for i in report.batch.inputs] == ["left", "right"]
    assert len(report.layers) == 1


def test_model_without_batch_normalization() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    report = analyzers.diagnose(model, rng.normal(size=(20, 4)).astype("float32"))
    assert report.verdict == "no_phase_gap"
    assert report.layers == []


def test_mixed_precision() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = specimens.network()
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = specimens.data(64, seed=5)
    model.fit(x, y, epochs=1, verbose=0)
    report = analyzers.diagnose(model, x, y)
    assert {c.name: c.passed for c in report.checks}["replay_identity"] is True
    assert report.phases.inference.loss is not None


def test_subclassed_live_model() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.dense, self.norm = keras.layers.Dense(3), keras.layers.BatchNormalization(name="norm")

        def call(self, x: Any, training: Any = None) -> Any:
            return self.norm(self.dense(x), training=training)

    model = Own()
    x = rng.normal(5, 3, (40, 4)).astype("float32")
    model(x)
    report = analyzers.diagnose(model, x)
    assert [n.path for n in report.layers] == ["own/norm"]
    assert report.verdict == "phase_gap"


def test_unreached_layers_are_listed_last() -> None:
    class Forgetful(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="forgetful")
            self.unused, self.used = keras.layers.BatchNormalization(), keras.layers.BatchNormalization()

        def call(self, x: Any, training: Any = None) -> Any:
            return self.used(x, training=training)

    model = Forgetful()
    model.unused.build((None, 4))
    x = rng.normal(size=(40, 4)).astype("float32")
    model(x)
    assert [n.status for n in analyzers.diagnose(model, x).layers][1] == "not_reached"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"loss": "no_such_loss"}, InvalidOption, "no_such_loss"),
        ({"metrics": ["no_such_metric"]}, InvalidOption, "no_such_metric"),
        ({"batch_size": 0}, InvalidOption, "batch_size"),
    ],
)
def test_options_without_meaning(options: dict[str, Any], error: type[Exception], says: str) -> None:
    s = specimens.healthy()
    with pytest.raises(error, match=says):
        analyzers.diagnose(s.model, s.x, s.y, **options)


def test_reported_figures_are_matched_to_a_phase() -> None:
    s = specimens.lagging()
    reported = {"accuracy": 1.0, "val_accuracy": 0.0, "auc": 0.5}
    phases = analyzers.diagnose(s.model, s.x, s.y, reported=reported).phases
    reported["val_accuracy"] = phases.inference.metrics["accuracy"]
    again = analyzers.diagnose(s.model, s.x, s.y, reported=reported).phases.reported
    assert phases.training.metrics["accuracy"] > 0.97
    assert {f.name: f.reproduced_by for f in again} == {
        "accuracy": "training",
        "auc": "not_computed",
        "val_accuracy": "inference",
    }


def test_labels_that_fit_no_loss() -> None:
    s = specimens.healthy()
    with pytest.raises(BatchMismatch, match="labels"):
        analyzers.diagnose(s.model, s.x, np.zeros((96, 7), "float32"))


def test_single_sample_is_honest() -> None:
    s = specimens.healthy()
    report = analyzers.diagnose(s.model, s.x[:1], s.y[:1])
    assert report.verdict != "phase_gap"
    assert not any(c.severity != "info" for c in report.causes)


@pytest.mark.parametrize("samples", [24, 48, 96, 300])
@pytest.mark.parametrize("seed", range(4))
def test_healthy_models_raise_no_alarm(samples: int, seed: int) -> None:
    x, y = specimens.data(samples, seed=100 + seed)
    report = analyzers.diagnose(specimens.trained(epochs=12), x, y)
    assert report.verdict != "phase_gap"
    assert not any(c.severity != "info" for c in report.causes)

"""What is read from a SavedModel's graph and metadata, held against what TensorFlow itself computes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import analyzers
from analyzers.errors import AnalysisError, ModelUnreadable, ModelUnsafe
from analyzers.subjects import load_model
from analyzers.subjects.saved_model_graph import flatten
from analyzers.subjects.saved_model_metadata import read_metadata
from analyzers.subjects.saved_model_moving import movements
from analyzers.subjects.saved_model_rewriting import Recipe
from analyzers.subjects.saved_model_subject import TracedSubject
from tests.saved_models import Network, Normalizing, packed, save_module

KERAS_2 = Path(__file__).parent / "data" / "keras2_saved_model.zip"
"""Written by Keras 2 (tf_keras 2.21): Conv2D with an L2 penalty of 0.01, BatchNormalization(momentum=0.9,
epsilon=1e-4), ReLU, Dropout(0.3), an inner model of pooling and BatchNormalization(momentum=0.8), Dense(3, softmax);
12 steps of Adam on `keras_2_sample`. `evaluate` then printed the loss and accuracy below."""
EVALUATED = (0.33462095, 1.0)


def keras_2_sample() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 96)
    x = draw.normal(1, 1, (96, 6, 6, 3)).astype("float32")
    x[np.arange(96), :, :, y] += 1.5
    return {"x": x, "y": y}


def subject_of(network: tf.Module, folder: Path, **options: Any) -> TracedSubject:
    upload = packed(save_module(network, folder / "m", **options), folder / "m.zip")
    return TracedSubject(load_model(upload).model)


def sample(count: int = 24) -> np.ndarray:
    return np.random.default_rng(5).normal(1.0, 2.0, (count, 12, 12, 3)).astype("float32")


def as_saved(subject: TracedSubject, phase: Any, x: np.ndarray, seed: tuple[int, int] = (0, 0)) -> np.ndarray:
    batch = frozenset(p for p in subject.order if phase.uses_batch(p))
    given = {(p, 0): subject.stored(p) for p in subject.order}
    return phase.run([x], Recipe(batch, frozenset()), given, seed).results[0].numpy()


@pytest.mark.parametrize("flag", ["python", "tensor"])
def test_the_flat_graph_computes_what_the_functions_do(flag: str, tmp_path: Path) -> None:
    network = Network(fused=True)
    expected = [network.run(sample(), phase).numpy() for phase in (False, True)]
    subject = subject_of(Network(fused=True), tmp_path, flag=flag)
    for phase, wanted in zip(subject.phases, expected, strict=True):
        np.testing.assert_allclose(as_saved(subject, phase, sample()), wanted, atol=1e-5)
        assert "If" not in {n.op for n in phase.flat.nodes.values()}


def test_given_statistics_are_those_that_are_applied(tmp_path: Path) -> None:
    """In either phase, and whatever stands in the variables."""
    network = Network(fused=False)
    subject = subject_of(Network(fused=False), tmp_path)
    draw = np.random.default_rng(1)
    given = {(p, 0): (draw.normal(size=6).astype("float32"), draw.uniform(1, 2, 6).astype("float32"))
             for p in ("norm", "last")}  # fmt: skip
    for name, norm in (("norm", network.norm), ("last", network.last)):
        norm.moving_mean.assign(given[(name, 0)][0])
        norm.moving_variance.assign(given[(name, 0)][1])
    wanted = network.run(sample(), False).numpy()
    for phase in subject.phases:
        ran = phase.run([sample()], Recipe(frozenset(), frozenset()), given, (0, 0))
        np.testing.assert_allclose(ran.results[0].numpy(), wanted, atol=1e-5)
        assert ran.applied == {}


def test_moments_of_what_a_layer_sees(tmp_path: Path) -> None:
    subject = subject_of(Network(fused=True), tmp_path)
    ran = subject.inference.run([sample()], Recipe(frozenset({"norm"}), frozenset({"norm"})), {
        ("last", 0): subject.stored("last")}, (0, 0))  # fmt: skip
    seen = tf.nn.conv2d(sample(), Network(fused=True).kernel, 2, "SAME").numpy().astype("float64")
    count, mean, variance = ran.seen[("norm", 0)]
    assert count == 36
    np.testing.assert_allclose(mean, seen.mean((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, seen.var((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(ran.applied[("norm", 0)][0], seen.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ran.applied[("norm", 0)][1], seen.var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99, 0.999, 1.0])
def test_momentum_from_how_the_variables_move(momentum: float, tmp_path: Path) -> None:
    """Whatever stands in them, NaN too, and with dropout drawing anew at each call; nothing stays moved."""
    network = Network(momentum=momentum, dropout=0.4, fused=False)
    network.norm.moving_variance.assign([np.nan, 1, 2, 3, 4, np.inf])
    subject = subject_of(network, tmp_path)
    before = [np.array(v).tobytes() for v in subject.variables]
    found = movements(subject, [sample()])
    assert {p: m.momentum for p, m in found.items()} == {"norm": momentum, "last": momentum}
    assert [np.array(v).tobytes() for v in subject.variables] == before
    seen = tf.nn.conv2d(sample(), network.kernel, 2, "SAME").numpy().astype("float64")
    if momentum < 1:
        np.testing.assert_allclose(found["norm"].mean, seen.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found["norm"].variance, seen.var((0, 1, 2)), rtol=1e-3)
    else:
        assert found["norm"].mean is None


def test_random_draws_follow_from_the_seed(tmp_path: Path) -> None:
    subject = subject_of(Network(dropout=0.5, fused=False), tmp_path)
    training = subject.phases[1]
    first, again, other = (as_saved(subject, training, sample(), seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert [s.kind for s in subject.sites if s.kind != "batch_normalizing"] == ["stochastic"]


class Odd(Normalizing):
    """Normalizes by the square of what it stores, which no batch normalization does."""

    def _stored(self, x: Any) -> Any:
        return (x - self.moving_mean) * tf.math.rsqrt(self.moving_variance + x[:1])


def test_what_is_not_understood_is_said(tmp_path: Path) -> None:
    network = Network(fused=False)
    network.last.__class__ = Odd
    upload = packed(save_module(network, tmp_path / "m"), tmp_path / "m.zip")
    np.savez(tmp_path / "b.npz", x=np.abs(sample(40)) + 1)
    report = analyzers.diagnose_files(upload, tmp_path / "b.npz")
    assert [x.path for x in report.layers] == ["norm"]
    check = next(c for c in report.checks if c.name == "layers_understood")
    assert (check.passed, "last" in check.detail) == (False, True)
    assert report.phases.difference.by_mechanism.other > 0


def test_a_saved_model_of_keras_2(tmp_path: Path) -> None:
    """Names, settings, compile settings, penalty and steps from its metadata; the loss that Keras 2 printed."""
    np.savez(tmp_path / "b.npz", **keras_2_sample())
    report = analyzers.diagnose_files(KERAS_2, tmp_path / "b.npz", batch_size=16)
    assert report.phases.inference.loss == pytest.approx(EVALUATED[0], rel=1e-5)
    assert report.phases.inference.metrics == {"accuracy": EVALUATED[1]}
    assert report.phases.inference.regularization_loss == pytest.approx(0.03068432, rel=1e-5)
    assert (report.model.name, report.model.optimizer_iterations) == ("classifier", 12)
    assert report.model.loss == "sparse_categorical_crossentropy"
    assert report.model.stochastic_layers == ["classifier/drop"]
    expected = [("classifier/outer_bn", 0.9, 1e-4, 3), ("classifier/inner/inner_bn", 0.8, 1e-3, 1)]
    assert [(x.path, x.momentum, x.epsilon, x.axis) for x in report.layers] == expected
    assert [x.effective_updates for x in report.layers] == pytest.approx([12, 12], abs=3)


def text_field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def metadata_of(**layers: Any) -> bytes:
    parts = []
    for number, (place, content) in enumerate(layers.items()):
        fields = [bytes([2 << 3, number]), text_field(3, place.replace("__", ".").encode())]
        fields += [text_field(4, b"_tf_keras_layer"), text_field(5, json.dumps(content).encode())]
        parts.append(text_field(1, b"".join(fields)))
    return b"".join(parts)


def test_metadata_are_read_as_keras_2_writes_them(tmp_path: Path) -> None:
    assert read_metadata(tmp_path) is None
    config = {"axis": [3], "kernel_size": {"class_name": "__tuple__", "items": [3, 3]}, "note": "ü" * 200}
    wrapper = {"class_name": "MeanMetricWrapper", "config": {"name": "accuracy", "fn": "binary_accuracy"}}
    content = metadata_of(
        root={"name": "net", "class_name": "Functional", "training_config": {"loss": "mse", "metrics": [[wrapper]]}},
        root__layer={"name": "bn", "class_name": "BatchNormalization", "trainable": False, "config": config},
    )
    (tmp_path / "keras_metadata.pb").write_bytes(content)
    found = read_metadata(tmp_path)
    assert found is not None
    assert [(x.node, x.place, x.name, x.trainable) for x in found.layers] == [
        (0, "root", "net", True), (1, "root.layer", "bn", False)]  # fmt: skip
    assert found.layers[1].config["axis"] == 3
    assert found.layers[1].config["kernel_size"] == [3, 3]
    assert found.compile_config is not None
    assert found.compile_config["loss"] == "mse"
    assert found.compile_config["metrics"][0]["class_name"] == "BinaryAccuracy"
    assert found.compile_config["metrics"][0]["config"]["name"] == "accuracy"
    for spoiled in (content[:-7], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0f"):
        (tmp_path / "keras_metadata.pb").write_bytes(spoiled)
        with pytest.raises(ModelUnreadable):
            read_metadata(tmp_path)


def test_lambdas_in_compile_settings_are_refused(tmp_path: Path) -> None:
    loss = {"class_name": "__lambda__", "config": {"value": ["4wAA", None, None]}}
    (tmp_path / "keras_metadata.pb").write_bytes(
        metadata_of(root={"name": "net", "class_name": "Functional", "training_config": {"loss": loss}})
    )
    with pytest.raises(ModelUnsafe, match="lambda"):
        read_metadata(tmp_path)


def test_functions_that_call_each_other_for_ever_end() -> None:
    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="call", op="PartitionedCall").attr["f"].func.name = "again"
    function = graph.library.function.add()
    function.signature.name = "again"
    function.node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = "again"
    with pytest.raises(AnalysisError, match="without end"):
        flatten(SimpleNamespace(graph=SimpleNamespace(as_graph_def=lambda: graph, outputs=[])))

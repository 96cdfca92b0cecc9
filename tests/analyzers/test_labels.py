"""Labels that are numbered otherwise, or stand beside other samples, are told apart and from models that are just poor.

The models add nothing to their inputs, so that what they decide and how sure they are of it is given exactly.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import Report

NUMBERING, ORDER = "label_mapping_mismatch", "labels_misaligned"


def passing(units: int, activation: str | None = "softmax", *positions: int) -> Any:
    """A model whose logits are its inputs."""
    model = keras.Sequential([keras.Input((*positions, units)), keras.layers.Dense(units, activation, name="head")])
    model.layers[0].set_weights([np.eye(units), np.full(units, 1e-3)])
    loss = "binary_crossentropy" if units == 1 else "sparse_categorical_crossentropy"
    model.compile(loss=loss, metrics=["accuracy"])
    return model


def classified(
    classes: int, samples: int, right: float = 0.9, steep: float = 5.0, seed: int = 0, skew: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are sure of one class, which is the true one for a share `right` of the samples; and the classes."""
    rng = np.random.default_rng(seed)
    share = np.exp(-skew * np.arange(classes))
    y = rng.choice(classes, samples, p=share / share.sum())
    said = np.where(rng.random(samples) < right, y, rng.integers(0, classes, samples))
    z = steep * np.eye(classes)[said] + rng.normal(0, 0.5, (samples, classes))
    return z.astype("float32"), y


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


def diagnosed(z: np.ndarray, y: np.ndarray, **options: Any) -> Report:
    return analyzers.diagnose(passing(z.shape[-1], "softmax", *z.shape[1:-1]), z, y, **options)


def permutation(classes: int) -> np.ndarray:
    """One that is no shift and no reversal, and leaves no class where it was: neighbours change places."""
    return np.arange(classes) ^ 1


@pytest.mark.parametrize(("classes", "samples"), [(4, 32), (10, 64), (30, 128), (100, 256)])
@pytest.mark.parametrize("how", ["moved on", "permuted"])
def test_other_numbers_are_named(classes: int, samples: int, how: str) -> None:
    z, y = classified(classes, samples)
    names = (np.arange(classes) + 1) % classes if how == "moved on" else permutation(classes)
    report = diagnosed(z, names[y])
    assert (report.primary_cause, loud(report)) == (NUMBERING, [NUMBERING])
    evidence = {e.name: e.value for e in report.causes[0].evidence}
    assert float(str(evidence["accuracy_with_classes_renamed"])) > 0.7
    assert (how == "moved on") == ("1 more than" in report.causes[0].explanation)


@pytest.mark.parametrize("samples", [16, 64])
@pytest.mark.parametrize("one_hot", [False, True])
def test_two_classes_exchanged(samples: int, one_hot: bool) -> None:
    z, y = classified(2, samples, right=0.95)
    model = passing(2)
    if one_hot:
        model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    labels = np.eye(2)[1 - y] if one_hot else 1 - y
    assert loud(analyzers.diagnose(model, z, labels)) == [NUMBERING]


def test_folders_listed_like_words() -> None:
    z, y = classified(12, 128)
    listed = np.array(sorted(range(12), key=str))
    report = diagnosed(z, listed[y])
    assert loud(report) == [NUMBERING]
    assert "10 before 2" in report.causes[0].explanation


def test_two_of_ten_classes_exchanged() -> None:
    z, y = classified(10, 128)
    names = np.arange(10)
    names[[3, 5]] = 5, 3
    report = diagnosed(z, names[y])
    assert loud(report) == [NUMBERING]
    assert "3 is 5" in report.causes[0].explanation


def test_a_mask_upside_down() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random((24, 6, 6)) < 0.3).astype(int)
    z = (4.0 * y - 2 + rng.normal(0, 0.7, y.shape))[..., None].astype("float32")
    model = passing(1, "sigmoid", 6, 6)
    assert loud(analyzers.diagnose(model, z, 1 - y[..., None])) == [NUMBERING]
    assert loud(analyzers.diagnose(model, z, y[..., None])) == []


@pytest.mark.parametrize("values", [(0, 255), (1, 2), (-1, 1)])
def test_two_classes_in_other_numbers(values: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 48)
    z = (4.0 * y - 2 + rng.normal(0, 0.7, 48))[:, None].astype("float32")
    report = analyzers.diagnose(passing(1, "sigmoid"), z, np.array(values)[y])
    assert report.primary_cause == NUMBERING
    assert f"{values[0]} and {values[1]}" in report.causes[0].explanation


def test_signs_belong_to_a_hinge_loss() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 48)
    z = (4.0 * y - 2 + rng.normal(0, 0.7, 48))[:, None].astype("float32")
    model = passing(1, "tanh")
    model.compile(loss="hinge")
    assert loud(analyzers.diagnose(model, z, 2 * y - 1)) == []


@pytest.mark.parametrize(("classes", "samples"), [(2, 128), (3, 64), (10, 32), (10, 128), (100, 128)])
def test_shuffled_labels_are_named(classes: int, samples: int) -> None:
    z, y = classified(classes, samples)
    report = diagnosed(z, np.random.default_rng(3).permutation(y))
    assert (report.primary_cause, loud(report)) == (ORDER, [ORDER])


@pytest.mark.parametrize(("move", "words"), [(1, "1 row down"), (-9, "9 rows up"), (0, "reverse order")])
def test_another_order_is_found(move: int, words: str) -> None:
    z, y = classified(5, 96)
    report = diagnosed(z, np.roll(y, -move) if move else y[::-1])
    assert loud(report) == [ORDER]
    assert words in report.causes[0].explanation


def test_shuffled_masks() -> None:
    rng = np.random.default_rng(4)
    level = rng.normal(0, 1.5, (48, 1, 1))
    y = (rng.normal(0, 1, (48, 6, 6)) + level > 0).astype(int)
    z = (5.0 * y - 2.5 + rng.normal(0, 0.7, y.shape))[..., None].astype("float32")
    report = analyzers.diagnose(passing(1, "sigmoid", 6, 6), z, rng.permutation(y)[..., None])
    assert loud(report) == [ORDER]


@pytest.mark.parametrize("samples", [64, 200])
def test_shuffled_numbers(samples: int) -> None:
    rng = np.random.default_rng(5)
    z = rng.normal(0, 1, (samples, 1)).astype("float32")
    y = z[:, 0] + rng.normal(0, 0.5, samples)
    model = passing(1, None)
    model.compile(loss="mse", metrics=["mae"])
    assert loud(analyzers.diagnose(model, z, y)) == []
    assert loud(analyzers.diagnose(model, z, rng.permutation(y))) == [ORDER]


@pytest.mark.parametrize("right", [0.0, 0.2, 0.4])
@pytest.mark.parametrize(("classes", "samples"), [(2, 64), (4, 16), (4, 64), (10, 64)])
def test_a_sure_and_poor_model_has_its_labels_right(classes: int, samples: int, right: float) -> None:
    """The inputs tell the class; the model does not look where they do."""
    for seed in range(4):
        z, y = classified(classes, samples, right=right, seed=seed)
        shown = 3 * np.eye(classes)[y] + np.random.default_rng(seed).normal(0, 1, (samples, classes))
        kernel = np.concatenate([np.eye(classes), np.zeros((classes, classes))])
        inputs = keras.Input((2 * classes,))
        head = keras.layers.Dense(classes, "softmax")
        model = keras.Model(inputs, head(inputs))
        head.set_weights([kernel, np.full(classes, 1e-3)])
        model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        report = analyzers.diagnose(model, np.concatenate([z, shown], axis=1).astype("float32"), y)
        assert loud(report) == []


@pytest.mark.parametrize("skew", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_uneven_classes_are_no_misalignment(classes: int, skew: float) -> None:
    z, y = classified(classes, 64, skew=skew)
    assert loud(diagnosed(z, y)) == []
    same = np.tile(z[:1], (64, 1)) + np.random.default_rng(6).normal(0, 0.1, z.shape).astype("float32")
    assert loud(diagnosed(same, y)) == []


@pytest.mark.parametrize("samples", [4, 8, 16])
def test_few_samples_accuse_nobody_of_shuffling(samples: int) -> None:
    for seed in range(4):
        z, y = classified(3, samples, right=0.0, seed=seed)
        assert ORDER not in loud(diagnosed(z, y))

"""Trained networks, kept on disk; copies of them; recalibration and figures on a hold-out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.quality.data import count, each, rows, two_domains, varied
from benchmarks.quality.nets import built, compiled, norms, sample
from benchmarks.quality.settings import Recipe, Setting

CACHE = Path(__file__).parent / ".cache"
QUIET_CLASSES = (
    keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.GaussianNoise,
    keras.layers.AlphaDropout, keras.layers.GaussianDropout,
)  # fmt: skip


def training_data(setting: Setting, recipe: Recipe) -> tuple[Any, Any]:
    """What the network was trained on, in the units of the recipe."""
    return drawn(setting, recipe, recipe.samples, "train")


def drawn(setting: Setting, recipe: Recipe, n: int, purpose: str) -> tuple[Any, Any]:
    """Samples like those of the training, for a purpose of their own."""
    x, y = sample(setting, n, purpose, recipe.imbalance)
    if recipe.vary:
        x = varied(x, recipe.vary, setting.rng("varied", purpose))
    if recipe.order == "pure":
        x = two_domains(x, 2.5, setting.rng("domains"))
    return (each(x, lambda a: a * recipe.unit) if recipe.unit != 1.0 else x), y


def trained(setting: Setting, recipe: Recipe | None = None, keep_compiled: bool = True) -> Any:
    """The network trained from its seed, a fresh copy each time; without its optimizer if `keep_compiled` is false."""
    recipe = recipe or Recipe()
    folder = CACHE / "nets" / f"{setting.net}-{setting.head}-{setting.seed}-{recipe.name()}"
    if not (folder / "history.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        model, history = _fitted(setting, recipe)
        model.save(folder / "model.keras")
        (folder / "history.json").write_text(json.dumps(history))
    return keras.models.load_model(folder / "model.keras", compile=keep_compiled)


def last_epoch(setting: Setting, recipe: Recipe) -> dict[str, float]:
    """What `fit` printed at its last epoch."""
    trained(setting, recipe)
    folder = CACHE / "nets" / f"{setting.net}-{setting.head}-{setting.seed}-{recipe.name()}"
    return {name: float(v) for name, v in json.loads((folder / "history.json").read_text()).items()}


def _fitted(setting: Setting, recipe: Recipe) -> tuple[Any, dict[str, float]]:
    model = built(setting, recipe)
    if recipe.inert:
        for norm in norms(model):
            norm.trainable = False
    x, y = training_data(setting, recipe)
    return fit(model, x, y, setting, recipe)


def fit(model: Any, x: Any, y: Any, setting: Setting, recipe: Recipe) -> tuple[Any, dict[str, float]]:
    """Train as the recipe says; the learning rate decays towards the end, unless it says otherwise."""
    steps = recipe.epochs * -(-count(x) // recipe.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(recipe.rate, steps, alpha=0.02) if recipe.decay else recipe.rate
    compiled(model, setting.head, rate)
    keras.utils.set_random_seed(100 + setting.seed)
    if recipe.order != "shuffled":
        if recipe.order == "sorted":
            order = by_class(y)
            x, y = rows(x, order), y[order]
        return model, _fit_in_blocks(model, x, y, recipe)
    history = model.fit(x, y, batch_size=recipe.batch_size, epochs=recipe.epochs, verbose=0).history
    return model, {name: values[-1] for name, values in history.items()}


def by_class(y: np.ndarray) -> np.ndarray:
    """The order that sorts samples by class."""
    return np.argsort(y if y.ndim == 1 else y.reshape(len(y), -1).argmax(-1), kind="stable")


def _fit_in_blocks(model: Any, x: Any, y: Any, recipe: Recipe) -> dict[str, float]:
    """Batches cut from the order of the samples, then shuffled as a whole."""
    rng = np.random.default_rng(7)
    starts = np.arange(0, count(x) - recipe.batch_size + 1, recipe.batch_size)
    figures: dict[str, float] = {}
    for _ in range(recipe.epochs):
        for start in rng.permutation(starts):
            block = slice(int(start), int(start) + recipe.batch_size)
            figures = model.train_on_batch(rows(x, block), y[block], return_dict=True)
    return {name: float(v) for name, v in figures.items()}


def twin(model: Any) -> Any:
    """The same network and weights, not compiled."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def recalibrated(model: Any, x: Any) -> Any:
    """A copy with the statistics of `x` in one batch, dropout and noise off: momentum 0 and one training-phase pass."""
    copy = twin(model)
    for norm in norms(copy):
        norm.momentum = 0.0
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
    for layer in copy._flatten_layers():
        if isinstance(layer, QUIET_CLASSES):
            for name in ("rate", "stddev"):
                if hasattr(layer, name):
                    setattr(layer, name, 0.0)
    copy(x, training=True)
    twin_of = twin(model)
    twin_of.set_weights(copy.get_weights())
    return twin_of


def outputs(model: Any, x: Any, batch_size: int = 256, training: bool = False) -> np.ndarray:
    """Outputs of a phase in float64, those of the first output where there are several. The model is left as it was."""
    parts, before = [], model.get_weights()
    for start in range(0, count(x), batch_size):
        out = model(rows(x, slice(start, start + batch_size)), training=training)
        while isinstance(out, dict | list | tuple):
            out = next(iter(out.values())) if isinstance(out, dict) else out[0]
        parts.append(np.asarray(out, "float64"))
    model.set_weights(before)
    return np.concatenate(parts)


def figures(p: np.ndarray, y: np.ndarray, head: str) -> tuple[float, float]:
    """Loss, and accuracy or R2; outputs that are not finite count as zero confidence."""
    y = np.asarray(y, "float64")
    p = np.where(np.isfinite(p), p, 0.0)
    if head == "real":
        error = float(np.mean((p.reshape(y.shape) - y) ** 2))
        return error, 1 - error / float(np.var(y))
    if head in ("sigmoid", "mask", "binlogit"):
        q = 1 / (1 + np.exp(-np.clip(p, -50, 50))) if head == "binlogit" else p
        q, t = np.clip(q.reshape(-1), 1e-7, 1 - 1e-7), y.reshape(-1)
        return float(-np.mean(t * np.log(q) + (1 - t) * np.log(1 - q))), float(np.mean((q > 0.5) == (t > 0.5)))
    label = (y.argmax(-1) if head == "onehot" else y.reshape(-1)).astype(int)
    if head == "logits":
        log_q = p - p.max(-1, keepdims=True)
        log_q = log_q - np.log(np.exp(log_q).sum(-1, keepdims=True))
    else:
        log_q = np.log(np.clip(p, 1e-7, 1))
    return float(-np.mean(log_q[np.arange(len(label)), label])), float(np.mean(p.argmax(-1) == label))

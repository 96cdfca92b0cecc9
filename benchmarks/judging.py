"""What a diagnosis says of a model: the figures that benchmarks count, by the shorter way or the whole one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

import analyzers
from analyzers.batches import fit_batch, raw_from_arrays
from analyzers.case import Case
from analyzers.causes import judge_all
from analyzers.evaluation import Evaluator, compiled_from_names
from analyzers.layer_cases import stored_moments
from analyzers.measuring import measure
from analyzers.observation import Observer, Pass
from analyzers.outputs import Rows
from analyzers.signature import specs
from analyzers.statistics import kl_per_channel, mixed
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Constants, Setting
from analyzers.verdict import decide
from benchmarks.simulation import BATCH_SIZE, LOSS, METRICS, Array


@dataclass(frozen=True)
class Layer:
    """What a diagnosis says of one layer, in nats."""

    path: str
    kl: float
    noise_floor: float
    significant: bool


@dataclass(frozen=True)
class Outcome:
    """What one diagnosis says; `alarms`: causes that are not of severity info, with their confidence."""

    verdict: str
    primary: str | None
    alarms: dict[str, float]
    systematic: float
    noise_floor: float
    batch_noise: float
    layers: list[Layer]
    gain: tuple[float, float, float] | None = None
    training_gain: tuple[float, float, float] | None = None

    @property
    def false(self) -> bool:
        """Whether a healthy network was called ill."""
        return self.verdict == "phase_gap" or bool(self.alarms)


class Remembering(Observer):
    """An observer that makes no pass twice: each starts from the same state and draws, so two of a kind are the same.

    Inputs and statistics are told apart by identity, and kept so that no identity is given twice.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.known: dict[tuple[Any, ...], Any] = {}
        self.kept: list[Any] = []

    def _once(self, make: Callable[[], Any], *key: Any) -> Any:
        self.kept.append(self.batch.x)
        key = (id(self.batch.x), *key)
        return self.known[key] if key in self.known else self.known.setdefault(key, make())

    def run(self, setting: Setting, **options: Any) -> Pass:
        """Remembered where nothing but the setting and the repeat tells it from another pass."""
        make = functools.partial(super().run, setting, **options)
        alone = not setting.constants and set(options) <= {"repeat"}
        return cast(Pass, self._once(make, "run", repr(setting), options.get("repeat", 0)) if alone else make())

    def calibrate(self, rows: Rows | None = None, **options: Any) -> dict[str, Constants]:
        """Remembered by rows and options."""
        make = functools.partial(super().calibrate, rows, **options)
        return cast(dict[str, Constants], self._once(make, "calibrate", _key(rows), repr(options)))

    def with_statistics(
        self, constants: Mapping[str, Constants], rows: Rows | None = None, record: bool = False
    ) -> Pass:
        """Remembered by the very statistics."""
        self.kept.append(constants)
        make = functools.partial(super().with_statistics, constants, rows, record)
        return cast(Pass, self._once(make, "with", id(constants), _key(rows), record))


def _key(rows: Rows | None) -> tuple[int, ...] | None:
    return None if rows is None else tuple(rows.tolist())


def judged(model: Any, x: Array, y: Array, *, seed: int = 0, iterations: int | None = None) -> tuple[Outcome, Outcome]:
    """The outcomes with and without labels, by measuring stage, causes and verdict alone: all but remedies,
    verification and report.

    `iterations` is the optimizer's step count, where the file is to have one.
    """
    raw, subject = raw_from_arrays(x, y, None), KerasSubject(model)
    batch = fit_batch(raw, *specs(model, raw))
    compiled = compiled_from_names(None, LOSS, METRICS)
    with Remembering(subject, batch, min(BATCH_SIZE, batch.samples), seed) as observer:
        first = _judged(observer, Evaluator(compiled, batch.output_names, batch.y, batch.sample_weight), iterations)
        observer.batch = replace(batch, y=None)
        return first, _judged(observer, Evaluator(compiled, batch.output_names, None, None), iterations)


def _judged(observer: Observer, evaluator: Evaluator, iterations: int | None) -> Outcome:
    case = measure(observer, evaluator, iterations, lambda fraction: None).case
    findings = judge_all(case)
    judgement = decide(case, findings)
    return Outcome(
        judgement.verdict,
        judgement.primary,
        {c.code: f.confidence for c, f in findings if f.severity != "info"},
        case.gap.systematic,
        case.gap.noise_floor,
        case.gap.batch_noise,
        _layers(case),
        _gain(case.gap.statistics_gain),
        _gain(case.gap.training_gain),
    )


def _layers(case: Case) -> list[Layer]:
    return [Layer(v.path, v.figures.kl, v.noise_floor, v.significant) for v in case.normalizing]


def _gain(gain: Any) -> tuple[float, float, float] | None:
    return None if gain is None else (gain.before, gain.mean, gain.z)


def diagnosed(model: Any, x: Array, y: Array, *, seed: int = 0) -> tuple[Outcome, Outcome]:
    """The outcomes with and without labels of the whole diagnosis, as a user gets it."""
    return _diagnosed(model, x, y, seed), _diagnosed(model, x, None, seed)


def _diagnosed(model: Any, x: Array, y: Array | None, seed: int) -> Outcome:
    report = analyzers.diagnose(model, x, y, batch_size=BATCH_SIZE, loss=LOSS, metrics=METRICS, seed=seed)
    gap = report.phases.difference
    return Outcome(
        report.verdict,
        report.primary_cause,
        {c.code: c.confidence for c in report.causes if c.severity != "info"},
        gap.systematic_output_rms,
        gap.noise_floor,
        float("nan"),
        [Layer(v.path, v.divergence.kl, v.noise_floor, v.significant) for v in report.layers],
    )


def population_divergence(model: Any, x: Array) -> dict[str, float]:
    """The true divergence of each layer, in nats: stored statistics against those of a population of fresh rows `x`."""
    subject, raw = KerasSubject(model), raw_from_arrays(x, None, None)
    with Observer(subject, fit_batch(raw, *specs(model, raw)), BATCH_SIZE, 0) as observer:
        seen = observer.run(Setting(training=True, record=True)).seen
    return {
        site.path: float(
            np.mean(kl_per_channel(mixed(seen[site.path]), stored_moments(site.layer), float(site.layer.epsilon)))
        )
        for site in subject.of_kind("batch_normalizing")
    }

"""The model-level gap between the phases: how large, how much of it is noise, and which mechanism opens it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Literal

import numpy as np

from analyzers.case import Gap, Mechanism, Paired
from analyzers.evaluation import Evaluator, prediction_agreement
from analyzers.observation import Observer, Pass
from analyzers.outputs import Outputs, Rows
from analyzers.statistics import Array, relative_rms
from analyzers.subjects.normalizing import Constants
from analyzers.switchboard import Setting

SIGNIFICANT_RATIO = 2.0  # Over its own sampling noise, and only where a layer diverges beyond noise too: healthy nets
# on heavy-tailed data reached 3.9 without any such layer, and 1.5 with one.
MATERIAL_RMS_LABELLED = 0.2  # Where labels show that the loss stays, and no layer is far off, a larger change counts.
MATERIAL_RMS = 0.1  # Of the outputs' spread: below this, decisions and losses of the nets measured did not move.
PAIRED_Z = 4.0  # One-sided chance of 3e-5 per diagnosis that noise alone calls the training phase better.
MATERIAL_LOSS = 0.1  # Relative change of the loss that an owner would notice.
SMALL_LOSS = 0.02  # In nats: relative changes of losses smaller than this are rounding of a solved problem.
FOLDS_LARGE = 2  # Two halves: the cheapest cross-fit, enough where each half has 32 samples or more.
FOLDS_SMALL = 4  # Fewer samples: hold out a quarter, so that statistics still rest on three quarters.
LARGE = 64
FEWEST = 4  # With fewer samples the sampling noise cannot be estimated: nothing is called significant by it.
HUGE_OUTPUT = 1e6  # Stands for infinities in distances, so that a broken output counts as far away, not as undefined.


Divergent = Literal["no", "perhaps", "beyond_noise", "far"]


@dataclass(frozen=True)
class Calibrated:
    """Inference with statistics of the sample: of all of it, and cross-fitted (each sample with those of others).

    `parts` are the samples held out in turn, (k,) each, `others` the statistics that their complements gave; both are
    empty where nothing was held out.
    """

    constants: dict[str, Constants]
    outputs: Outputs
    held_out: Outputs
    floor: Array
    parts: Sequence[Rows] = ()
    others: Sequence[dict[str, Constants]] = ()


def folds(samples: int, seed: int) -> list[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """A split of the samples for cross-fitting: disjoint, random, together all."""
    count = FOLDS_LARGE if samples >= LARGE else min(FOLDS_SMALL, samples)
    return [np.sort(f) for f in np.array_split(np.random.default_rng(seed).permutation(samples), count)]


def calibrated(
    observer: Observer,
    training: Pass,
    *,
    as_trained: bool,
    paths: Sequence[str] | None = None,
    replayed: Pass | None = None,
) -> Calibrated | None:
    """Calibrate on everything and on each fold's complement; None where no layer uses batch statistics.

    The floor is the jackknife estimate of what the calibrated outputs vary by sampling: (K-1)/K sum (f_-k - mean)^2,
    values per sample and output (Efron and Tibshirani 1993, section 11.5). `as_trained` leaves stochastic layers and
    augmentation on while the statistics are taken, as they were in training. With fewer than `FEWEST` samples nothing
    is held out and the floor is NaN: unknown. `training` is the training-phase pass; `replayed` the pass with its
    statistics as constants, where the phases differ by nothing else: it is run no second time where the sample is one
    batch.
    """
    if not any(call.used_batch for calls in training.calls[0].values() for call in calls):
        return None
    whole, outputs = _on_all(observer, training, replayed, as_trained, paths)
    if observer.batch.samples < FEWEST:
        return Calibrated(whole, outputs, outputs, np.full_like(flatten(outputs), np.nan))
    parts = folds(observer.batch.samples, observer.seed)
    held_out = outputs.copy()
    each, others = [], []
    for part in parts:
        rest = np.setdiff1d(np.arange(observer.batch.samples), part)
        others.append(observer.calibrate(rest, as_trained=as_trained, paths=paths))
        fitted = observer.with_statistics(others[-1]).outputs
        held_out.put(part, fitted)
        each.append(flatten(fitted))
    mean = np.mean(each, axis=0)
    spread = (len(parts) - 1) / len(parts) * np.sum([np.square(f - mean) for f in each], axis=0)
    return Calibrated(whole, outputs, held_out, np.sqrt(spread), parts, others)


def _on_all(
    observer: Observer, training: Pass, replayed: Pass | None, as_trained: bool, paths: Sequence[str] | None
) -> tuple[dict[str, Constants], Outputs]:
    """Statistics of the whole sample, and inference with them. Where it is one batch and every layer is called once,
    the training phase had these, unless a layer renormalizes (whose constants are those of another layer).
    """
    calls = training.calls[0]
    once = len(training.calls) == 1 and all(len(each) == 1 for each in calls.values())
    renormalized = any(getattr(s.layer, "renorm", False) for s in observer.subject.sites)
    if replayed is not None and once and paths is None and not renormalized:
        whole = {path: each[0].applied for path, each in calls.items() if each[0].used_batch}
        return whole, replayed.outputs
    whole = observer.calibrate(as_trained=as_trained, paths=paths)
    return whole, observer.with_statistics(whole).outputs


def flatten(outputs: Sequence[Array]) -> Array:
    """All outputs side by side, (samples, values), each in its own spread's units where there are several; finite."""
    parts = []
    for output in outputs:
        values = np.nan_to_num(output.reshape(len(output), -1), nan=0.0, posinf=HUGE_OUTPUT, neginf=-HUGE_OUTPUT)
        parts.append(values)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def paired(before: Array | None, after: Array | None) -> Paired | None:
    """Compare two losses per sample, (samples,) each; positive mean: `after` is the lower one."""
    if before is None or after is None:
        return None
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return None
    difference = before[both] - after[both]
    error = float(np.std(difference, ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else 0.0
    return Paired(float(before[both].mean()), float(after[both].mean()), float(difference.mean()), error)


def assess(
    evaluator: Evaluator,
    inferences: Sequence[Pass],
    repeats: Sequence[Pass],
    fitted: Calibrated | None,
    mechanisms: dict[Mechanism, float],
    divergent: Divergent,
) -> Gap:
    """Put the gap together and decide what of it is beyond noise; `inferences` and `repeats` are passes in each phase,
    at least one; `divergent` says whether any layer's divergence is beyond noise, without which no systematic gap can
    be, only perhaps, which leaves the question open, or far beyond, with which chance alone is no explanation and only
    the size of the gap is in question. Where inference repeated differs from itself (random layers, a device that adds
    up in any order), that is part of the floor too.
    """
    inference, training = inferences[0], repeats[0]
    base, trained = flatten(inference.outputs), flatten(training.outputs)
    reference = [base, trained]
    total = relative_rms(trained - base, reference)
    systematic = relative_rms(flatten(fitted.outputs) - base, reference) if fitted else 0.0
    drift = relative_rms(flatten(inferences[-1].outputs) - base, reference)
    floor = math.hypot(relative_rms(fitted.floor, reference), drift) if fitted else drift
    noise = relative_rms(trained - flatten(fitted.outputs), reference) if fitted else total
    each = evaluator.per_sample(inference.outputs)
    training_gain = paired(each, _mean_loss(evaluator, repeats))
    statistics_gain = paired(each, evaluator.per_sample(fitted.held_out)) if fitted else None
    significant, undecided = _decided(systematic, floor, divergent, statistics_gain)
    drawn = mechanisms.get("stochastic_layers", 0.0) + mechanisms.get("augmentation", 0.0)
    return Gap(
        total=total,
        systematic=systematic,
        noise_floor=floor,
        batch_noise=noise,
        agreement=prediction_agreement(inference.outputs, training.outputs),
        mechanisms=mechanisms,
        training_gain=training_gain,
        statistics_gain=statistics_gain,
        systematic_significant=significant,
        training_better=_matters(training_gain) and training_gain is not None and training_gain.z > PAIRED_Z,
        stochastic_significant=drawn > MATERIAL_RMS,
        undecided=undecided,
    )


def _decided(systematic: float, floor: float, divergent: Divergent, gain: Paired | None) -> tuple[bool, bool]:
    """Whether a systematic gap is significant, and whether that is open; `gain` is None without labels.

    Where the floor is unknown (NaN) nothing is beyond it.
    """
    net = math.sqrt(max(systematic**2 - floor**2, 0.0))
    certain = divergent == "far" and net > max(floor, MATERIAL_RMS)
    proven = divergent == "perhaps" and gain is not None and gain.z > PAIRED_Z  # by samples that gave no statistics
    beyond = (divergent in ("beyond_noise", "far") or proven) and (systematic > SIGNIFICANT_RATIO * floor or certain)
    least = MATERIAL_RMS if gain is None or divergent == "far" else MATERIAL_RMS_LABELLED
    material = _matters(gain) or systematic > least
    open_question = divergent != "no" and systematic > MATERIAL_RMS and not systematic <= floor
    return beyond and material, open_question and material and not beyond


def _mean_loss(evaluator: Evaluator, repeats: Sequence[Pass]) -> Array | None:
    losses = [each for p in repeats if (each := evaluator.per_sample(p.outputs)) is not None]
    return np.mean(losses, axis=0) if losses else None


def _matters(gain: Paired | None) -> bool:
    return gain is not None and abs(gain.mean) > max(MATERIAL_LOSS * abs(gain.before), SMALL_LOSS) and abs(gain.z) > 2.0


def mechanisms(observer: Observer, inference: Pass, training: Pass) -> dict[Mechanism, float]:
    """The total gap split by mechanism, in units of its relative RMS; the parts sum to it.

    Shapley values (Shapley 1953) of the game whose players are the mechanisms present and whose worth is the projection
    of the output's change on that of the whole training phase: exact, so that nothing is left over or counted twice.
    """
    players = _present(observer, training)
    base, whole = flatten(inference.outputs), flatten(training.outputs) - flatten(inference.outputs)
    size = relative_rms(whole, [base, flatten(training.outputs)])
    energy = float(np.sum(np.square(whole)))
    if energy == 0.0 or not players:
        return {"other": size} if energy > 0 else {}
    worth: dict[frozenset[Mechanism], float] = {frozenset(): 0.0, frozenset(players): 1.0}
    for count in range(1, len(players)):
        for chosen in combinations(players, count):
            on = frozenset(chosen)
            change = flatten(observer.run(setting_of(on)).outputs) - base
            worth[on] = float(np.sum(change * whole)) / energy
    return {p: size * _shapley(p, players, worth) for p in players}


def setting_of(on: frozenset[Mechanism]) -> Setting:
    """The switchboard setting in which exactly the mechanisms `on` behave as in the training phase."""
    return Setting(
        training="other" in on,
        batch_statistics="batch_statistics" in on,
        stochastic="stochastic_layers" in on,
        augmentation="augmentation" in on,
    )


def _present(observer: Observer, training: Pass) -> list[Mechanism]:
    subject = observer.subject
    found: list[Mechanism] = []
    if any(call.used_batch for calls in training.calls[0].values() for call in calls):
        found.append("batch_statistics")
    if any(True in training.flags.get(s.path, ()) for s in subject.of_kind("stochastic")):
        found.append("stochastic_layers")
    if any(True in training.flags.get(s.path, ()) for s in subject.of_kind("augmentation")):
        found.append("augmentation")
    if subject.has_other_phase_layers:
        found.append("other")
    return found


def _shapley(player: Mechanism, players: list[Mechanism], worth: dict[frozenset[Mechanism], float]) -> float:
    others = [p for p in players if p != player]
    total = 0.0
    for count in range(len(others) + 1):
        weight = factorial(count) * factorial(len(others) - count) / factorial(len(players))
        for chosen in combinations(others, count):
            on = frozenset(chosen)
            total += weight * (worth[on | {player}] - worth[on])
    return total

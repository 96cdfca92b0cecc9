"""Instance normalization tried in place of batch normalization, for models trained on batches of one or a few samples.

At batch size 1 batch normalization over a map or a sequence *is* instance normalization (Ulyanov et al., Instance
Normalization, 2016, section 3): each channel by its own mean and variance over the positions of one sample. So the
trial is the model itself, run sample by sample on batch statistics with random layers off. Nothing is taken from other
samples, so every sample is one held out. Then the model is rebuilt by the code that is printed, and must give the same
outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analyzers.case import Case, Paired
from analyzers.competition import NOTHING, WORST
from analyzers.measuring import Measured
from analyzers.observation import Observer
from analyzers.outputs import Outputs
from analyzers.phase import paired
from analyzers.report import RivalVariant, Verification, VerificationStatus
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting
from analyzers.verification import Trial
from analyzers.wording import plural

SAMPLES = 64  # One pass each: enough for an interval, and bounded in time.
REBUILT_SAMPLES = 16  # Enough to see whether the rebuilt model is the same function.
SAME = 1e-4  # Relative to the largest output: float32 rounding through tens of layers in another order of sums.


def attempt(trial: Trial, measured: Measured, rebuild: Callable[[Any], Any]) -> Verification:
    """Inference as it is against inference sample by sample; `rebuild` makes the model that is printed as code."""
    case, observer = measured.case, trial.observer
    if not _has_positions(measured):
        return _untried(
            case, "none of the layers has positions to normalize over: one sample of a plain feature has variance 0"
        )
    if observer.subject.fixed_batch is not None:
        return _untried(case, "the model is built for batches of a fixed size, so no sample can be run alone")
    rows = np.arange(min(case.samples, SAMPLES))
    alone = _one_by_one(observer, rows)
    base = trial.inference.outputs.take(rows)
    same = _rebuilt_like(observer, alone, rebuild)
    gain = _gain(trial, rows, base, alone)
    status = _status(gain, same)
    return Verification(
        status=status,
        method="tried: the model run sample by sample on batch statistics, random layers off; loss paired over samples",
        samples=len(rows),
        before={} if gain is None else {"loss": gain.before},
        after={} if gain is None else {"loss": gain.after},
        interval=None if gain is None else gain.interval,
        note=_note(case, gain, same),
        rivals=[] if gain is None else _rivals(trial, measured, rows),
    )


def _has_positions(measured: Measured) -> bool:
    """Whether some layer sees more than one value a sample and channel."""
    seen = measured.training.seen
    return any(float(s.count.max()) > 1 for x in measured.case.normalizing for s in seen.get(x.path, []))


def _one_by_one(observer: Observer, rows: Any) -> Outputs:
    size, observer.batch_size = observer.batch_size, 1
    try:
        return observer.run(Setting(batch_statistics=True, stochastic=False, augmentation=False), rows=rows).outputs
    finally:
        observer.batch_size = size


def _rebuilt_like(observer: Observer, alone: Outputs, rebuild: Callable[[Any], Any]) -> float | None:
    """The largest difference of the rebuilt model's outputs, relative to the largest output; None if it cannot be."""
    if not isinstance(observer.subject, KerasSubject):
        return None
    rows = slice(min(len(alone[0]), REBUILT_SAMPLES))
    try:
        model = rebuild(observer.subject.model)
        found = KerasSubject(model).forward([x[rows] for x in observer.batch.x], False)
    except Exception:  # Whatever Keras cannot build anew: custom classes, layers without a configuration.
        return None
    ours = [np.asarray(f, np.float64) for f in found]
    scale = max(float(np.abs(a[rows]).max()) for a in alone)
    return max(float(np.abs(a - b[rows]).max()) for a, b in zip(ours, alone, strict=True)) / max(scale, 1e-12)


def _gain(trial: Trial, rows: Any, before: Outputs, after: Outputs) -> Paired | None:
    """Decrease of the loss; None without labels, since at batch size 1 the training phase is what is tried here."""
    evaluator = trial.evaluator
    if not trial.trusted or not evaluator.has_loss:
        return None
    whole = trial.inference.outputs.copy()
    whole.put(rows, after)
    each = [evaluator.per_sample(o) for o in (trial.inference.outputs, whole)]
    if each[0] is None or each[1] is None:
        return None
    return paired(*(np.nan_to_num(v[rows], nan=WORST, posinf=WORST) for v in each if v is not None))


def _status(gain: Paired | None, same: float | None) -> VerificationStatus:
    if gain is None:
        return "not_tested"
    if gain.mean <= 0:
        return "rejected"
    return "verified" if gain.interval[0] > 0 and same is not None and same < SAME else "not_tested"


def _rivals(trial: Trial, measured: Measured, rows: Any) -> list[RivalVariant]:
    """What new statistics alone would do: partial relief, at best."""
    base = trial.score(trial.inference.outputs)[rows]
    rivals = [RivalVariant(variant=NOTHING, mean=float(base.mean()), samples=len(rows))]
    if measured.fitted is not None:
        each = trial.score(measured.fitted.held_out)[rows]
        gain = paired(base, each)
        interval = None if gain is None else gain.interval
        name = "recalibration alone"
        rivals.insert(0, RivalVariant(variant=name, mean=float(each.mean()), interval=interval, samples=len(rows)))
    return rivals


def _note(case: Case, gain: Paired | None, same: float | None) -> str:
    parts = [
        "95 % interval of the decrease of the loss per sample." if gain else "Without labels nothing can judge it."
    ]
    if case.batch_size > 1:
        parts.append(
            f"At batch size {case.batch_size} instance normalization is an approximation of what the weights learned "
            "with, so fine-tune the rebuilt model."
        )
    if same is None:
        parts.append("This model could not be built anew from its configuration, so the rebuilt one was not run.")
    elif same < SAME:
        parts.append(f"The rebuilt model, by the code below, gives the same outputs within {same:.0e} (relative).")
    else:
        parts.append(f"The model rebuilt by the code below differs from what was tried by {same:.2g} (relative).")
    return " ".join(parts)


def _untried(case: Case, why: str) -> Verification:
    return Verification(
        status="not_tested", method="none", samples=case.samples, note=f"On {plural(case.samples, 'sample')}: {why}."
    )

"""The measuring stage: every pass over the model that the explanation needs, and the case that comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from analyzers.attribution import Attribution, attribute
from analyzers.case import Case, Gap, LayerCase, Mechanism, ScaleTrial
from analyzers.evaluation import Evaluator
from analyzers.layer_cases import layer_cases
from analyzers.observation import Observer, Pass
from analyzers.phase import Calibrated, Divergent, assess, calibrated, mechanisms, setting_of
from analyzers.probes import (
    companions,
    converted_weights,
    heads,
    initial_weights,
    input_scale,
    input_shift,
    inputs,
    misfits,
    normalizations,
    shuffling,
    states,
)
from analyzers.probes import labels as label_checks
from analyzers.probes.companions import Company
from analyzers.replaying import replay
from analyzers.report import Check, PhaseFigures
from analyzers.statistics import relative_difference
from analyzers.switchboard import Setting
from analyzers.symptoms import LabelFacts

WELL = 0.95  # Share of right decisions, in either phase, at which nobody need ask whether images are as they should be.
SURE_FLOORS = 2.0  # Few samples with heavy tails show floors too low: healthy nets were seen at up to 1.6 of them.
FAR_FLOORS = 10.0  # A divergence this many noise floors high is no chance, whatever the tails ...
FAR_KL = 0.05  # ... and in nats, beyond the drift of statistics while weights still moved in a healthy training.
LEAST_KL = 1e-4  # Nats, means off by 1.4 % of a deviation: no net measured had a fault so small. Where epsilon stands
# in for nearly all of the spread, chance and the last steps of training look like one.
FAR = 0.5  # Nats in the first layer: an input so unlike the training data that its scale is tried even without a gap.
CLEARLY_WORSE = 0.1  # Share of decisions: labels at chance agree with neither, and scatter by as much on few samples.
LAGGED = 0.7  # Share of a layer's divergence that a lag tells; a shift that looks like one is not looked for, where ...
LEFT = 0.03  # ... so much of the start is left.
COLLAPSED = 0.05  # Of the divergence: one factor that leaves no more, and ...
SOUND = 0.01  # ... so many nats behind, as healthy samples do, needs no factors of single channels.
REPEATS = 4  # Training-phase passes where layers draw at random: halves the noise of the figures of one draw.
SAME_OUTPUT = 1e-6  # Relative difference of a repeated inference pass that is rounding, not randomness.

Step = Callable[[float], None]


@dataclass(frozen=True)
class Measured:
    """The case with the passes behind it, for verification and the report."""

    case: Case
    inference: Pass
    training: Pass
    fitted: Calibrated | None
    attribution: Attribution
    checks: list[Check]


def measure(observer: Observer, evaluator: Evaluator, iterations: int | None, step: Step) -> Measured:
    """Run both phases and everything that is derived from them; `step` hears the fraction of the stage done."""
    inference = observer.run(Setting(training=False, record=True))
    company = companions.company(observer, inference)
    again = _again(observer, inference, company)
    if again is inference:
        observer.merge()
    training = _first_training_pass(observer)
    repeats = [training, *_repeats(observer)]
    step(0.3)
    parts = mechanisms(observer, inference, training)
    replayed, replay_check = replay(observer, training)
    identical = replay_check.passed is not False
    step(0.45)
    as_trained = "stochastic_layers" in parts or "augmentation" in parts
    fitted = calibrated(observer, training, as_trained=as_trained, replayed=replayed if _alone(parts) else None)
    layers = layer_cases(observer, inference, repeats)
    gap = assess(evaluator, [inference, again], repeats, fitted, parts, _divergent(layers))
    step(0.65)
    open_gap = gap.systematic_significant or gap.training_better or gap.undecided
    attribution = _attribution(observer, inference, training, parts, layers, identical and open_gap)
    layers = [replace(x, share_of_gap=attribution.shares.get(x.path, 0.0)) for x in layers]
    step(0.9)
    case = _case(observer, evaluator, iterations, gap, layers, inference, repeats, fitted)
    repeatable, drift = _repeatable(inference, again, company)
    case = replace(case, company_drift=company.drift if company is not None else 0.0)
    drawing = [s.path for s in observer.subject.of_kind("stochastic") if True in inference.flags.get(s.path, ())]
    case = replace(case, inference_drift=drift, drawing_at_inference=drawing)
    checks = [replay_check, repeatable, _adds_up(attribution)]
    return Measured(case, inference, training, fitted, attribution, checks)


def _case(
    observer: Observer,
    evaluator: Evaluator,
    iterations: int | None,
    gap: Gap,
    layers: list[LayerCase],
    inference: Pass,
    repeats: list[Pass],
    fitted: Calibrated | None,
) -> Case:
    training = repeats[0]
    case = Case(
        samples=observer.batch.samples,
        batch_size=observer.batch_size,
        labelled=observer.batch.y is not None,
        layers=layers,
        gap=gap,
        inference=evaluator.figures(inference.outputs, inference.penalty),
        training=_mean_figures([evaluator.figures(p.outputs, p.penalty) for p in repeats]),
        weights=initial_weights.facts(observer.subject),
        optimizer_iterations=iterations,
        stochastic=[s.path for s in observer.subject.of_kind("stochastic")],
        augmentation=[s.path for s in observer.subject.of_kind("augmentation")],
        non_finite_outputs=not all(np.isfinite(o).all() for o in inference.outputs),
        labels=_label_facts(observer, evaluator, inference, training, fitted if gap.systematic_significant else None),
        targets=label_checks.targets(observer, evaluator, inference.outputs, training.outputs),
        heads=heads.heads(observer, inference.outputs, training.outputs),
        metrics=misfits.misfits(observer.subject.model, evaluator, inference.outputs),
        normalizations=normalizations.unadapted(observer, evaluator, inference),
        carried_states=observer.subject.carried_states,
        changed_states=states.changed(observer),
    )
    return _tried(observer, evaluator, case, inference, training)


def _tried(observer: Observer, evaluator: Evaluator, case: Case, inference: Pass, training: Pass) -> Case:
    """The case with what trials on the model say, each only where it could explain something."""
    gap, active = case.gap, case.normalizing
    far = bool(active) and active[0].significant and active[0].figures.kl > FAR
    worth_trying = gap.systematic_significant or gap.undecided or far
    well = bool(case.labels) and all(max(x.inference_accuracy, x.training_accuracy) > WELL for x in case.labels)
    scale = input_scale.trial(observer, evaluator, active, inference, training) if worth_trying else None
    return replace(
        case,
        input_scale=scale,
        input_shift=input_shift.trial(observer, active, inference) if _may_be_shifted(case, scale) else None,
        converted=converted_weights.trial(observer, active) if gap.systematic_significant and active else None,
        reversed_channels=None if well else inputs.reversed_channels(observer, evaluator, inference, active),
        shuffled=shuffling.shuffled(observer, evaluator, training) if gap.training_better else None,
    )


def _may_be_shifted(case: Case, scale: ScaleTrial | None) -> bool:
    """Whether layers that see the input are off, and neither a lag nor one scale, with fewer numbers, says why."""
    off = [x for x in case.at_input if x.significant and not x.at_start]
    told = [x for x in off if x.clock is None or (x.clock.explained > LAGGED and x.clock.weight_of_start > LEFT)]
    scaled = scale is not None and scale.kl_after < COLLAPSED * scale.kl_before and scale.deep_kl_after < SOUND
    return case.gap.systematic_significant and bool(off) and not told and not scaled


def _label_facts(
    observer: Observer, evaluator: Evaluator, inference: Pass, training: Pass, fitted: Calibrated | None
) -> list[LabelFacts]:
    """Decisions against labels: of the inference phase, or with held-out statistics unless those agree clearly worse.

    Where stored statistics spoil the inference phase, only decisions without that fault can show one in the labels.
    """
    plain = label_checks.facts(observer, evaluator, inference.outputs, training.outputs)
    if fitted is None:
        return plain
    other = label_checks.facts(observer, evaluator, fitted.held_out, training.outputs)
    return [
        a
        if a.permuted_accuracy > b.permuted_accuracy + CLEARLY_WORSE
        else replace(b, calibrated=True, uncalibrated_accuracy=a.accuracy)
        for a, b in zip(plain, other, strict=True)
    ]


def _divergent(layers: list[LayerCase]) -> Divergent:
    """How surely the stored statistics of any layer are not those of the batch."""
    found = [x for x in layers if x.significant and x.figures.kl > LEAST_KL]
    if any(x.figures.kl > max(FAR_FLOORS * x.noise_floor, FAR_KL) for x in found):
        return "far"
    if any(x.figures.kl > SURE_FLOORS * x.noise_floor for x in found):
        return "beyond_noise"
    return "perhaps" if found else "no"


def _first_training_pass(observer: Observer) -> Pass:
    """Run once to learn which variables a training-phase pass changes, so that only those are put back from then on."""
    training = observer.run(Setting(training=True, record=True), keep_changes=True)
    observer.learn_mutable()
    observer.state.restore(observer.mutable)
    return training


def _repeats(observer: Observer) -> list[Pass]:
    augmented = bool(observer.subject.of_kind("augmentation"))
    drawn = augmented or bool(observer.subject.of_kind("stochastic"))
    setting = Setting(training=True, record=augmented)
    return [observer.run(setting, repeat=r) for r in range(1, REPEATS)] if drawn else []


def _again(observer: Observer, inference: Pass, company: Company | None) -> Pass:
    """Inference repeated with other random draws; where it does not differ even in other company, as it was."""
    if company is not None and company.largest <= SAME_OUTPUT:
        return inference
    return observer.run(Setting(), repeat=1)


def _repeatable(inference: Pass, again: Pass, company: Company | None) -> tuple[Check, float]:
    if again is inference and company is not None:
        worst, what = company.largest, "run again without every other sample, with other random draws,"
    else:
        what = "run twice, with other random draws,"
        worst = max(relative_difference(a, b) for a, b in zip(again.outputs, inference.outputs, strict=True))
    detail = f"the inference phase {what} differs by at most {worst:.2g} (relative)"
    return Check(name="inference_repeatable", passed=worst <= SAME_OUTPUT, detail=detail), worst


def _alone(parts: dict[Mechanism, float]) -> bool:
    """Whether statistics are all that the phases differ by."""
    return list(parts) == ["batch_statistics"]


def _attribution(
    observer: Observer,
    inference: Pass,
    training: Pass,
    parts: dict[Mechanism, float],
    layers: list[LayerCase],
    worthwhile: bool,
) -> Attribution:
    active = {x.path: x.figures.kl for x in layers if x.uses_batch}
    if not worthwhile or not active:
        return Attribution(dict.fromkeys(active, 0.0), 0.0, 0.0)
    batch_only = training if _alone(parts) else observer.run(setting_of(frozenset({"batch_statistics"})))
    return attribute(observer, inference, batch_only, active)


def _adds_up(attribution: Attribution) -> Check:
    total = sum(attribution.shares.values())
    if total == 0.0:
        return Check(
            name="shares_sum_to_gap", passed=None, detail="no gap by batch statistics beyond noise to share out"
        )
    return Check(
        name="shares_sum_to_gap",
        passed=abs(total - 1.0) < 1e-6,
        detail=f"the layers' shares sum to {total:.9f}, residual {attribution.residual:.1e}; "
        f"{100 * attribution.unresolved:.1f} % of the gap lies in groups of layers too small to be opened and is "
        "shared out by divergence",
    )


def _mean_figures(figures: list[PhaseFigures]) -> PhaseFigures:
    """Averages over repeated draws, with their standard deviation."""
    first = figures[0]
    if len(figures) == 1:
        return first
    losses = [f.loss for f in figures if f.loss is not None]
    spread = {"loss": float(np.std(losses, ddof=1))} if len(losses) > 1 else {}
    metrics = {k: [f.metrics[k] for f in figures] for k in first.metrics}
    return PhaseFigures(
        loss=float(np.mean(losses)) if losses else None,
        metrics={k: float(np.mean(v)) for k, v in metrics.items()},
        data_loss=float(np.mean([f.data_loss for f in figures if f.data_loss is not None])) if losses else None,
        regularization_loss=first.regularization_loss,
        repeats=len(figures),
        repeat_sd={**spread, **{k: float(np.std(v, ddof=1)) for k, v in metrics.items()}},
    )

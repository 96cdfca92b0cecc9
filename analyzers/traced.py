"""The switchboard of a SavedModel: the same settings, over traced functions in place of layers.

A traced function has its flag built in, so a setting chooses the function of the inference or of the training phase,
and in it which sites normalize by the batch. Where the training phase draws numbers (dropout, augmentation), all that
draws is on or off together, with everything else that only the training phase has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.outputs import Outputs
from analyzers.report import Check
from analyzers.running import explained
from analyzers.statistics import SampleMoments
from analyzers.subjects.keras_model import KerasSubject
from analyzers.subjects.saved_model import TracedModel
from analyzers.subjects.saved_model_moving import Movement, learn, movements
from analyzers.subjects.saved_model_phase import Pair, Phase, PhaseRun
from analyzers.subjects.saved_model_rewriting import Recipe
from analyzers.subjects.saved_model_subject import TracedSubject
from analyzers.switchboard import Setting, SiteCall, Switchboard

SAME_OUTPUT = 1e-4  # Relative to the outputs' size: float32 sums in another order over some dozens of layers.
SAME_STATISTICS = 1e-3  # In standard deviations, and relative for variances: what float32 leaves of (1 - momentum).
TINY = 1e-3  # Keras' epsilon: variances and means below it make no difference to what is divided by.

Subject = KerasSubject | TracedSubject


class TracedSwitchboard:
    """Runs the phases of one SavedModel. Used as `Switchboard` is."""

    def __init__(self, subject: TracedSubject) -> None:
        self.subject = subject
        self.setting = Setting()
        self.calls: dict[str, list[SiteCall]] = {}
        self.flags: dict[str, set[bool]] = {}
        self.order: list[str] = []
        self.proof: _Proof | None = None

    def __enter__(self) -> TracedSwitchboard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing was plugged in."""

    def run(self, inputs: Sequence[NDArray[Any]], setting: Setting) -> Outputs:
        """One pass over one batch; see `Switchboard.run`. With `until`, what comes behind is not run, nor returned."""
        subject, self.setting = self.subject, setting
        phase = self._phase(setting)
        with explained():
            if self.proof is None:
                self.proof = _prove(subject, inputs)
            ran = phase.run(inputs, *self._recipe(phase, setting), (subject.seed, subject.windows))
        subject.windows += 1
        self.order = subject.order
        wanted = [p for p in subject.order if setting.until is None or p in setting.until]
        self.calls = {p: self._calls(phase, ran, p, setting, len(inputs[0])) for p in wanted}
        self.flags = {s.path: {subject.draws(phase, s.path)} for s in subject.sites if s.kind != "batch_normalizing"}
        logits = [None if z is None else _float64(z) for z in ran.logits]
        return Outputs([_float64(r) for r in ran.results], logits)

    def _phase(self, setting: Setting) -> Phase:
        subject = self.subject
        if subject.training is None:
            return subject.inference
        on = setting.training
        if subject.training_draws:
            flags = [on if flag is None else flag for flag in (setting.stochastic, setting.augmentation)]
            kinds = [bool(subject.of_kind("stochastic")), bool(subject.of_kind("augmentation"))]
            on = any(flag and present for flag, present in zip(flags, kinds, strict=True))
        return subject.training if on else subject.inference

    def _recipe(self, phase: Phase, setting: Setting) -> tuple[Recipe, dict[tuple[str, int], Pair]]:
        batch = frozenset(p for p in phase.calls.by_site if self._on_batch(phase, p, setting))
        record = frozenset(self.subject.order if setting.record else ())
        if setting.until is not None:
            record &= setting.until
        given: dict[tuple[str, int], Pair] = {}
        for path, calls in phase.calls.by_site.items():
            pairs = setting.constants.get(path) or [self.subject.stored(path)]
            given.update({(path, k): pairs[min(k, len(pairs) - 1)] for k in range(len(calls))})
        return Recipe(batch, record, outputs=setting.until is None), given

    def _on_batch(self, phase: Phase, path: str, setting: Setting) -> bool:
        if path in setting.constants:
            return False
        forced = setting.training and self.subject.training is None
        wanted = phase.uses_batch(path) or forced if setting.batch_statistics is None else setting.batch_statistics
        wanted = wanted and (setting.only is None or path in setting.only)
        return wanted and self._trainable(path)

    def _trainable(self, path: str) -> bool:
        training = self.subject.training
        if training is not None and path in training.calls.by_site:
            return training.uses_batch(path) or self.subject.inference.uses_batch(path)
        return True

    def _calls(self, phase: Phase, ran: PhaseRun, path: str, setting: Setting, samples: int) -> list[SiteCall]:
        found = []
        pairs = setting.constants.get(path) or [self.subject.stored(path)]
        for k in range(len(phase.calls.by_site[path])):
            applied = ran.applied.get((path, k))
            seen = ran.seen.get((path, k))
            moments = None if seen is None else _moments(*seen).by_sample(samples)
            used = applied is not None
            found.append(SiteCall(applied if applied is not None else pairs[min(k, len(pairs) - 1)], used, moments))
        return found


def subject_of(model: Any, structure: Any = None) -> Subject:
    """A model as the pipeline sees it; `structure` as `KerasSubject` takes it."""
    return TracedSubject(model) if isinstance(model, TracedModel) else KerasSubject(model, structure)


def board_of(subject: Subject) -> Switchboard | TracedSwitchboard:
    """The switchboard that fits a subject."""
    return TracedSwitchboard(subject) if isinstance(subject, TracedSubject) else Switchboard(subject)


def checks(board: Switchboard | TracedSwitchboard) -> list[Check]:
    """What was proved about the reading of a SavedModel's graph; nothing for other models."""
    if not isinstance(board, TracedSwitchboard) or board.proof is None:
        return []
    found = [_graph_check(board.proof), _statistics_check(board.proof)]
    if board.subject.unclear:
        listed = ", ".join(f"`{p}`" for p in board.subject.unclear[:5])
        detail = f"how these layers use their moving statistics is not understood from the graph: {listed}"
        found.append(Check(name="layers_understood", passed=False, detail=detail))
    return found


@dataclass(frozen=True)
class _Proof:
    """The saved functions against the flat graphs, on one batch: largest relative differences of the outputs, and of
    the batch's statistics as the moving variables tell them; None where random draws forbid the comparison.
    """

    outputs: float | None
    statistics: float | None


def _prove(subject: TracedSubject, inputs: Sequence[NDArray[Any]]) -> _Proof:
    """Run the saved functions beside ours, learn the momentum on the way; every variable is put back."""
    subject.last_inputs = inputs
    found = movements(subject, inputs)
    learn(subject, found)
    kept = [(v, np.array(v)) for v in subject.variables]
    differences, statistics = [], None
    for phase in subject.phases:
        if phase.random:
            continue
        ours = phase.run(inputs, *_as_saved(subject, phase), (0, 0))
        _put_back(kept)
        theirs = phase.traced(inputs)
        _put_back(kept)
        pairs = zip(ours.results, theirs, strict=True)
        differences.append(max(_relative(_float64(a), _float64(b)) for a, b in pairs))
        if phase is subject.training:
            statistics = _statistics_differ(found, ours, len(inputs[0]))
    return _Proof(max(differences) if differences else None, statistics)


def _as_saved(subject: TracedSubject, phase: Phase) -> tuple[Recipe, dict[tuple[str, int], Pair]]:
    batch = frozenset(p for p in phase.calls.by_site if phase.uses_batch(p))
    keys = [(p, k) for p, calls in phase.calls.by_site.items() for k in range(len(calls))]
    return Recipe(batch, frozenset(subject.order)), {(p, k): subject.stored(p) for p, k in keys}


def _put_back(kept: list[tuple[Any, NDArray[Any]]]) -> None:
    for variable, value in kept:
        variable.assign(value)


def _statistics_differ(found: dict[str, Movement], ours: PhaseRun, samples: int) -> float | None:
    """Largest difference between the statistics that moved the variables and those that the graph applied."""
    differences = []
    for path, moved in found.items():
        applied = ours.applied.get((path, 0))
        if moved.mean is None or moved.variance is None or applied is None:
            continue
        spread = np.sqrt(np.maximum(applied[1], 0.0)) + np.abs(applied[0]) + TINY
        differences.append(float(np.max(np.abs(moved.mean - applied[0]) / spread)))
        count = samples * ours.seen[(path, 0)][0]
        # The fused kernel stores the unbiased variance, N / (N - 1) of the one that it normalizes by.
        expected = [applied[1] * f + TINY for f in (1.0, count / max(count - 1, 1))]
        differences.append(min(float(np.max(np.abs((moved.variance + TINY) / e - 1.0))) for e in expected))
    return max(differences) if differences else None


def _graph_check(proof: _Proof) -> Check:
    if proof.outputs is None:
        detail = "both phases draw random numbers, so the saved functions cannot be compared with the graph read"
        return Check(name="graph_as_saved", passed=None, detail=detail)
    return Check(
        name="graph_as_saved",
        passed=proof.outputs <= SAME_OUTPUT,
        detail="the graph in which statistics are switched gives the saved functions' outputs to within "
        f"{proof.outputs:.1e} (relative)",
    )


def _statistics_check(proof: _Proof) -> Check:
    if proof.statistics is None:
        detail = "no moving variables moved in a training phase without random draws, so none could be compared"
        return Check(name="moving_variables_agree", passed=None, detail=detail)
    return Check(
        name="moving_variables_agree",
        passed=proof.statistics <= SAME_STATISTICS,
        detail="the batch statistics that two training-phase calls leave in the moving variables are those read from "
        f"the graph to within {proof.statistics:.1e}",
    )


def _moments(values: float, mean: NDArray[Any], variance: NDArray[Any]) -> SampleMoments:
    """Moments by row of what a layer saw, `values` of them in each."""
    mean, variance = np.asarray(mean, np.float64), np.maximum(np.asarray(variance, np.float64), 0.0)
    return SampleMoments(np.full(len(mean), values), mean, variance)


def _relative(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    scale = float(np.max(np.abs(np.nan_to_num(b)), initial=0.0)) or 1.0
    different = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(different, np.abs(a - b), 0.0) / scale, initial=0.0))


def _float64(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.numpy(), dtype=np.float64)

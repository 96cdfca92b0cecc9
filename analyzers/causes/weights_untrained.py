"""Weights at their initial values, all or some of them: the trained ones were never loaded."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import works
from analyzers.report import Evidence, Severity
from analyzers.wording import plural

TITLE = "The weights are untrained: they were not restored"
SOURCE = "Glorot and Bengio (2010) and He et al. (2015): the laws that initializers draw from, held against the kernels"
WHAT = (
    "The file holds weights as initializers draw them, in all layers or in some: `load_weights` was skipped, failed "
    "silently, or passed over layers by name or by shape (`by_name`, `skip_mismatch`); a new head was never trained; "
    "a subclass was rebuilt and only the outer part restored. Kernels are held against the law that their initializer "
    "draws from (Glorot and Bengio, He et al.); biases and betas of exactly 0 and gammas of exactly 1 bear it out."
)
LOOKS = (
    "Poor figures in both phases, as a rule. Layers are listed whose weights are at their initial values; where the "
    "optimizer counts steps all the same, the report says so."
)
EVIDENCE = {
    "layers_at_initial_values": (
        "Layers whose weights look as their initializers draw them. Held against the number of layers with weights."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_never_updated": "There the weights were trained and only the statistics stand at their start.",
    "labels_misaligned": "A trained model on foreign labels is sure of itself; an untrained one is not.",
    "degenerate_output": (
        "A constant output passes no gradient on, so that untrained weights follow from it; then that cause is named."
    ),
}


def judge(case: Case) -> Finding | None:
    """Present where layers hold what their initializers gave them: every layer, or some beside trained ones."""
    facts = case.weights
    if any(h.single_softmax or (h.constant and case.optimizer_iterations) for h in case.heads):
        return None  # A constant output passes no gradient on: that nothing was trained follows from it.
    if facts.untrained:
        return _all(case)
    if facts.left_at_start:
        return _some(case)
    return _frozen(case) if facts.frozen_at_start else None


def _all(case: Case) -> Finding:
    facts, steps = case.weights, case.optimizer_iterations or 0
    counted = (
        f" The optimizer in the file counts {plural(steps, 'step')}, of which the weights show nothing: they were "
        "overwritten after training, or the learning rate was 0."
        if steps
        else ""
    )
    return Finding(
        0.95,
        "critical",
        f"All {plural(facts.layers, 'layer')} with weights hold values as their initializers draw them: biases and "
        "betas are exactly 0, gammas exactly 1, and kernels have the initializers' spread. No training reached this "
        f"file.{counted} Whatever the phases do, look for the weights first: a `load_weights` that was skipped, failed "
        "silently, or loaded by name into layers with other names.",
        facts.at_initial_values,
        [_count(facts.at_initial_values, facts.layers)],
        case.gap.total,
    )


def _some(case: Case) -> Finding:
    left = case.weights.left_at_start
    last = left == [case.weights.last]
    which = (
        "It is the last layer: a new head on a trained body, which is yet to be trained, or whose weights were not "
        "restored because the number of classes was another."
        if last
        else "Weights were restored for part of the model only: `load_weights` with `by_name` or `skip_mismatch` "
        "passes over layers whose names or shapes differ, and a rebuilt model has not the names of the saved one."
    )
    return Finding(
        0.94,
        _severity(case),
        f"{_listed(left)} at initial values, exactly 0 or 1 or as the initializer draws them, while the other layers "
        f"were trained. {which} Compare the layers' weights with the checkpoint's before anything else.",
        left,
        [_count(left, case.weights.units)],
        case.gap.total,
    )


def _frozen(case: Case) -> Finding:
    frozen = case.weights.frozen_at_start
    return Finding(
        0.85,
        "info",
        f"{_listed(frozen)} at initial values and marked as not trainable, while other layers were trained. With "
        "random features that is meant so; if these layers were to be pre-trained, their weights were never loaded "
        "(`weights=None`, or a `load_weights` that was skipped).",
        frozen,
        [_count(frozen, case.weights.units)],
    )


def _severity(case: Case) -> Severity:
    if works(case):
        return "info"
    return "critical" if case.labelled else "warning"


def _listed(paths: list[str]) -> str:
    shown = ", ".join(f"`{p}`" for p in paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
    return f"{shown} {'stands' if len(paths) == 1 else 'stand'}"


def _count(paths: list[str], layers: int) -> Evidence:
    return Evidence(name="layers_at_initial_values", value=len(paths), unit="layers", reference=layers)

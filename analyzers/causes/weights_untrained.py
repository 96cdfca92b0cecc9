"""All weights at their initial values: the trained ones were never loaded."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "The weights are untrained: they were not restored"
SOURCE = "Glorot and Bengio (2010) and He et al. (2015): the spreads that initializers leave, held against the kernels"


def judge(case: Case) -> Finding | None:
    """Present where every layer's parameters look as its initializer leaves them, and the optimizer counts no step."""
    facts = case.weights
    if not facts.untrained or facts.normalization_moved or (case.optimizer_iterations or 0) > 0:
        return None
    return Finding(
        0.95,
        "critical",
        f"All {plural(facts.layers, 'layer')} with weights hold values as their initializers draw them: biases and "
        "betas are exactly 0, gammas exactly 1, and kernels have the initializers' spread. No training reached this "
        "file. Whatever the phases do, look for the weights first: a `load_weights` that was skipped, failed "
        "silently, or loaded by name into layers with other names.",
        facts.at_initial_values,
        [
            Evidence(
                name="layers_at_initial_values",
                value=len(facts.at_initial_values),
                unit="layers",
                reference=facts.layers,
            )
        ],
        case.gap.total,
    )

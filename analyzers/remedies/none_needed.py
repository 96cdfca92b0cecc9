"""Nothing to repair in the model."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Nothing needs fixing"
TREATS = (
    "no_phase_gap",
    "stochastic_layers_expected",
    "loss_includes_regularization",
    "epsilon_dominates",
    "numerical_noise",
)
WHAT = (
    "Nothing in the model needs repair. Compare the same figures on the same data in both phases before changing "
    "anything."
)


def explain(case: Case, finding: Finding) -> str:
    """What to look at instead."""
    return (
        "The model needs no repair for what was measured here. If a gap worries you all the same, compare the same "
        "figures on the same data in both phases, with `evaluate` for inference, before changing anything."
    )


def snippet(case: Case) -> str | None:
    """None: there is nothing to do."""
    return None

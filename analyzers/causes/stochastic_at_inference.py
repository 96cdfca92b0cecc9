"""Dropout or noise is active at inference: the same sample gives another answer each time."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence

TITLE = "Random layers are active at inference"
SOURCE = (
    "Gal and Ghahramani, Dropout as a Bayesian Approximation (2016), do so on purpose; otherwise it is a stray flag"
)

REPEATED = 1e-4  # Relative difference of two inference passes with other random draws: far above rounding.


def judge(case: Case) -> Finding | None:
    """Present where inference repeated with other random draws differs, and no state is carried from call to call."""
    if case.inference_drift < REPEATED or case.carried_states:
        return None
    return Finding(
        0.95,
        "warning",
        "Run twice on the same samples for inference, with other random draws, the model gives different outputs (up "
        f"to {case.inference_drift:.2g} of their size): dropout or noise is at work with the flag for inference. Any "
        "score of one pass is one draw. If that is not wanted, pass the training flag through instead of fixing it "
        "to True; if it is (Monte Carlo dropout), average many passes.",
        case.drawing_at_inference,
        [Evidence(name="difference_of_repeated_inference", value=case.inference_drift, reference=REPEATED),
         *loss_evidence(case)],
        case.inference_drift,
    )  # fmt: skip

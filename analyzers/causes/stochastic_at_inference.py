"""Dropout or noise is active at inference: the same sample gives another answer each time."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence

TITLE = "Random layers are active at inference"
SOURCE = (
    "Gal and Ghahramani, Dropout as a Bayesian Approximation (2016), do so on purpose; otherwise it is a stray flag"
)
WHAT = (
    "A dropout, noise or augmentation layer is called with `training=True` at inference, or draws random numbers "
    "without asking for the flag. Each prediction is then one draw of many. Monte Carlo dropout (Gal and Ghahramani) "
    "does this on purpose and averages; by accident it makes scores that cannot be repeated."
)
LOOKS = (
    "Inference on the same samples gives other outputs each time. The layers that draw are listed where they could be "
    "told."
)
EVIDENCE = {
    "difference_of_repeated_inference": (
        "Relative difference of inference passes with other random draws. Held against what rounding could leave."
    ),
}
LOOK_ALIKES = {
    "stateful_layers": "Carried state also changes repeated calls, but is the same again after `reset_state()`.",
    "bn_batch_statistics_at_inference": "There outputs repeat exactly as long as the batch is the same.",
    "stochastic_layers_expected": "The same layers at work where they belong: in the training phase only.",
}

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

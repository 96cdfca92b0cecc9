"""Layers that carry state from call to call: the same input twice gives different outputs, by design."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "Layers carry state from batch to batch"
SOURCE = "Keras' documentation of `stateful` recurrent layers: states of one batch are the initial states of the next"
BENIGN = True


def judge(case: Case) -> Finding | None:
    """Present where a recurrent layer is stateful."""
    if not case.carried_states:
        return None
    return Finding(
        0.93,
        "info",
        "These layers start each batch from the state that the batch before left, in both phases. So the same "
        "samples give other outputs when called again, or in another order: not a matter of training and inference. "
        "Call `reset_state()` on them before each new sequence, before `evaluate` and before `predict`.",
        case.carried_states,
        [Evidence(name="stateful_layers", value=len(case.carried_states), unit="layers", reference=0)],
    )

"""Layers that carry state from call to call: the same input twice gives different outputs, by design."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "Layers carry state from call to call"
SOURCE = (
    "Keras' documentation of `stateful` recurrent layers: states of one batch are the initial states of the next; "
    "Miyato et al., Spectral Normalization (2018), section 2.1: one step of power iteration a training step"
)
BENIGN = True
WHAT = (
    "Recurrent layers with `stateful=True` start each batch from the state that the last batch left. Spectral "
    "normalization takes a step of its power iteration, and so changes its kernel, whenever it is called in the "
    "training phase. Both are as designed; both make a second call differ from the first."
)
LOOKS = (
    "The model carries variables from call to call that are neither weights nor moving statistics. The report "
    "measures every pass from the uploaded state, so that its own figures do not depend on the order of its passes."
)
EVIDENCE = {
    "stateful_layers": "Recurrent layers that keep their state. Held against 0.",
    "layers_changed_by_a_pass": (
        "Layers whose own variables a training-phase pass changes, batch normalization aside. Held against 0."
    ),
}
LOOK_ALIKES = {
    "stochastic_at_inference": "Random draws stay different after a reset of the states.",
    "bn_batch_statistics_at_inference": "That depends on which samples stand together, not on what was called before.",
}


def judge(case: Case) -> Finding | None:
    """Present where a recurrent layer is stateful, or a pass in the training phase changes variables of other layers
    than normalizing ones.
    """
    if not case.carried_states and not case.changed_states:
        return None
    return Finding(
        0.93,
        "info",
        " ".join([_RECURRENT] * bool(case.carried_states) + [_CHANGED] * bool(case.changed_states)),
        [*case.carried_states, *case.changed_states],
        [
            Evidence(name="stateful_layers", value=len(case.carried_states), unit="layers", reference=0),
            Evidence(name="layers_changed_by_a_pass", value=len(case.changed_states), unit="layers", reference=0),
        ],
    )


_RECURRENT = (
    "Recurrent layers start each batch from the state that the batch before left, in both phases. So the same samples "
    "give other outputs when called again, or in another order: not a matter of training and inference. Call "
    "`reset_state()` on them before each new sequence, before `evaluate` and before `predict`."
)
_CHANGED = (
    "Layers change variables of their own whenever they are called in the training phase: spectral normalization takes "
    "another step of its power iteration and divides its kernel anew. So a training-phase pass differs from inference, "
    "and from itself when repeated, by design; inference alone changes nothing. All figures here are of passes that "
    "start from the uploaded state."
)

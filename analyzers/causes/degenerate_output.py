"""The output is the same for every sample."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.symptoms import CONSTANT, HeadFacts

TITLE = "The output does not depend on the input"
SOURCE = "A softmax over one unit is 1 for every input; a dead or zero last layer gives its bias"
OUTSIDE = True
WHAT = (
    "The output is the same whatever comes in. A softmax over one unit is always 1; a last layer with zero weights "
    "gives its bias; a ReLU that is 0 for every input passes nothing on; a saturated activation hides what varies "
    "before it. No statistics and no preparation of inputs can change that, and no gradient can, either."
)
LOOKS = (
    "No variation of an output over the samples, in both phases. The report names the layer from which on nothing "
    "varies, where there is one."
)
EVIDENCE = {
    "variation_over_samples": (
        "Spread of the output over the samples. Held against the value below which it counts as constant."
    ),
}
LOOK_ALIKES = {
    "weights_untrained": "An untrained model's output varies, if only by little.",
    "normalization_layer_not_adapted": "Inputs of a wild scale saturate a sound head; then that is the cause.",
}


def judge(case: Case) -> Finding | None:
    """Present where an output does not vary over several samples, in either phase, and nothing before it says why."""
    if case.samples < 2 or case.non_finite_outputs or any(n.explains for n in case.normalizations):
        return None
    dead = [h for h in case.heads if h.constant and not _only_sure(h, case)]
    if not dead:
        return None
    h = dead[0]
    return Finding(
        0.95,
        "critical",
        f"Output `{h.output}` is the same for all {case.samples} samples ({h.low:.4g} to {h.high:.4g}). {_why(h)} No "
        "statistics and no preprocessing can change that.",
        [h.dead_from] if h.dead_from else [],
        [Evidence(name="variation_over_samples", value=h.variation, reference=CONSTANT)],
        1.0,
    )


def _only_sure(h: HeadFacts, case: Case) -> bool:
    """Whether the logits vary and the labels bear the one decision out: a sample of one class, and a sure model."""
    if not h.logit_variation >= CONSTANT or h.single_softmax:
        return False
    right = [x.accuracy for x in case.labels if x.output == h.output]
    return not right or right[0] == 1.0


def _why(h: HeadFacts) -> str:
    if h.single_softmax:
        return "It is a softmax over a single unit, which is 1 whatever comes in: use a sigmoid, or one unit per class."
    if h.logit_variation >= CONSTANT:
        return "Its activation is saturated: what goes in varies, but far beyond where the activation is flat."
    where = f"From `{h.dead_from}` on nothing varies" if h.dead_from else "Its last layers are dead"
    return f"{where}: weights at zero, or units that no input reaches (a ReLU that is 0 throughout)."

"""The stored statistics belong to other weights: averaged, pruned, edited or fine-tuned after they were taken.

What remains when lag, corruption, conversion, scaling and frozen statistics explain nothing: layers disagree with their
own inputs all through the network. Stands only where no specific cause does.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._contest import confidence
from analyzers.causes._shared import (
    divergence_evidence,
    loss_evidence,
    severity_of_gap,
    share,
    weights_disagree,
    worst_first,
)
from analyzers.report import Evidence

TITLE = "The moving statistics belong to other weights"
SOURCE = (
    "Izmailov et al., Averaging Weights Leads to Wider Optima (2018), section 3.2: averaged weights need new statistics"
)
RESIDUAL = True
WHAT = (
    "Moving statistics describe what each layer saw with the weights of their time. When weights change without them "
    "(averaging by EMA or SWA, pruning, quantization, editing, fine-tuning with statistics held still, merging of "
    "checkpoints), every layer behind the first change gets inputs of another mean and variance than it stored. The "
    "error grows with depth, since each layer's output feeds the next."
)
LOOKS = (
    "A phase gap in which layers disagree with their own inputs all through the network, those far from the input "
    "too, and no other explanation predicts the numbers: the `contest` leaves most of the divergence unexplained. It "
    "is named only where no specific cause is."
)
EVIDENCE = {
    "divergence_behind_first_layer": (
        "The largest divergence of a layer that does not see the input. Held against that of the layer that does: a "
        "strange input fades behind the first normalization, other weights do not."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_unconverged": "A lag moves all channels by one factor towards 0 and 1. Here no factor fits.",
    "input_distribution_shift": (
        "A strange sample is seen in the first layers and hardly behind them in the training phase. Without labels "
        "the two may look alike, and the report then asks which it is."
    ),
    "bn_conversion_mismatch": "A wrong conversion is one rule (a swap, a square) that, undone, makes all layers agree.",
    "bn_frozen_domain_shift": "There momentum is 1 or nearly so, and the shift is largest at the input.",
}

UNJUDGED = 0.5  # Without labels a sample of another kind leaves the same picture: an even bet.
QUESTION = (
    "Is this sample of the kind that the model was trained on? If not, recalibrating on it would spoil the model."
)
THE_WEIGHTS_ARE_FINE = "The weights are fine: the training phase shows it."
UNLIKE = (
    "No labels were sent, so nothing shows which phase is right: a sample of another kind than the training data "
    "(other subjects, another source, random values) leaves the same picture. Send labels, or a sample of what the "
    "model was trained on; where the phases agree on that, the statistics are in order."
)


def judge(case: Case) -> Finding | None:
    """Present where a systematic gap goes with divergence behind the first layers too."""
    layers = [x for x in case.normalizing if x.significant and not x.at_start]
    if not layers or case.inference_better or not case.gap.systematic_significant:
        return None
    deep = max((x.figures.kl for x in case.behind), default=0.0)
    if case.behind and not weights_disagree(case):
        return None
    judged = case.training.data_loss is not None
    return Finding(
        confidence(case, "bn_statistics_stale", most=0.9 if case.behind and judged else UNJUDGED),
        severity_of_gap(case) if judged else "warning",
        "The stored statistics are not those of what the layers get with the weights as they are, and no lag, "
        "scaling or conversion explains how. They were taken with other weights: after weight averaging (EMA, SWA), "
        "pruning, editing or fine-tuning, statistics have to be taken again. "
        + (THE_WEIGHTS_ARE_FINE if judged else UNLIKE),
        worst_first(layers),
        [
            Evidence(
                name="divergence_behind_first_layer", value=deep, unit="nats", reference=case.at_input[0].figures.kl
            ),
            *divergence_evidence(layers),
            *loss_evidence(case),
        ],
        share(layers, case),
        "" if judged else QUESTION,
    )

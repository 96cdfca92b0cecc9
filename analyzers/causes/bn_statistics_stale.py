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

"""Normalization that does not look at the batch."""

from __future__ import annotations

from typing import Any

from analyzers.case import Case, Finding
from analyzers.remedies import _instance_norm

TITLE = "Replace batch normalization by group or instance normalization"
TREATS = ("bn_small_batch",)
WHAT = (
    "Builds the model with `GroupNormalization(groups=-1)` in place of batch normalization and carries gamma, beta "
    "and epsilon over. For maps and sequences trained at batch size 1 that is exactly what the weights learned with; "
    "at 2 to 4 it is near to it and wants fine-tuning. It is another architecture, so the code makes it and the "
    "service does not serve it."
)


def rebuild(model: Any) -> Any:
    """The model that the printed code builds."""
    return _instance_norm.with_instance_normalization(model)


def explain(case: Case, finding: Finding) -> str:
    """What to change, and what recalibration would do instead."""
    exact = (
        "At batch size 1 batch normalization of maps and sequences is exactly instance normalization, so the rebuilt "
        "model needs no training."
        if case.batch_size == 1
        else f"At batch size {case.batch_size} instance normalization is near to what the weights learned with, not "
        "equal to it: fine-tune the rebuilt model, or train anew with group normalization or larger batches."
    )
    return (
        "Build the model with instance normalization (`GroupNormalization`, `groups=-1`) in place of batch "
        f"normalization; gamma, beta and epsilon carry over. {exact}{_relief(case)} The rebuilt model is not offered "
        "for download, since it is another architecture: the code makes it."
    )


def _relief(case: Case) -> str:
    gain = case.gap.statistics_gain
    if gain is None or case.gap.training_gain is None or gain.mean <= 0:
        return " New statistics alone do not help."
    return (
        f" New statistics alone are partial relief: they take the loss on samples held out from {gain.before:.3g} to "
        f"{gain.after:.3g}, where the training phase has {case.gap.training_gain.after:.3g}."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return _instance_norm.snippet()

"""Take the moving statistics anew from data, in one pass; no weight changes."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._lag import lags
from analyzers.remedies import _recalibration
from analyzers.wording import plural

TITLE = "Recalibrate the moving statistics"
TREATS = (
    "bn_statistics_unconverged",
    "bn_statistics_never_updated",
    "bn_statistics_stale",
    "bn_frozen_domain_shift",
)
WHAT = (
    "Runs data once through the model with batch normalization alone in the training phase, in one large batch, and "
    "keeps what each layer saw as its moving statistics; no weight changes. Layers that lag have their lag undone "
    "first where that is the better start. Use training data, as many samples as memory holds; `data_plan` in the "
    "report says how many leave which error. Not for a sample that was prepared differently than the training data: "
    "it would fit the statistics to the mistake."
)

MOST = 0.5  # Where half of the layers are at fault, the others were measured behind them: take all anew.


def paths(case: Case, finding: Finding) -> list[str] | None:
    """All layers, or only those at fault where they are few.

    Layers of one momentum are updated together: where some of them lag beyond noise, all of them do.
    """
    found = list(finding.layers)
    momenta = {x.momentum for x in case.normalizing if x.path in found and lags(x, case)}
    found += [x.path for x in case.normalizing if x.momentum in momenta and x.path not in found]
    return None if len(found) >= MOST * len(case.normalizing) else found


def explain(case: Case, finding: Finding) -> str:
    """What is done, on what, and what to prefer."""
    return (
        "Run data once in the training phase in one large batch and keep the batch statistics as the moving "
        f"statistics; weights stay as they are. It was tried here on the {plural(case.samples, 'sample')} that came: "
        "good for a first look. For production, calibrate on training data, as many samples as memory holds. "
        f"{_next_time(case, finding)}"
    )


def _next_time(case: Case, finding: Finding) -> str:
    if any(lags(x, case) for x in case.normalizing if x.path in finding.layers):
        return "To avoid it next time, train with more steps or a lower momentum."
    return (
        "Do it again whenever weights are averaged, pruned, edited or fine-tuned: statistics belong to their weights."
    )


def snippet(case: Case) -> str | None:
    """The recalibration itself."""
    return _recalibration.snippet(_recalibration.Recipe(case.samples))

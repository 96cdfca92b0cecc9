"""The printed loss contains penalties beside the loss on the data."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "The loss contains a regularization penalty"
SOURCE = "Keras adds `model.losses` to the compiled loss in fit and evaluate alike"
BENIGN = True

NOTABLE = 0.1  # Share of the loss that the penalty makes up before anybody wonders.


def judge(case: Case) -> Finding | None:
    """Present where the penalty is a notable part of the loss."""
    data, penalty = case.inference.data_loss, case.inference.regularization_loss
    if data is None or not penalty or penalty < NOTABLE * (abs(data) + penalty):
        return None
    return Finding(
        0.92,
        "info",
        f"The loss on the data is {data:.4g}; penalties (regularizers and added losses) put {penalty:.4g} on top. "
        "Keras prints "
        "the sum, {:.4g}, in `fit` and in `evaluate`; a loss computed by hand from predictions is the first number "
        "alone. "
        "Compare like with like.".format(data + penalty),
        [],
        [Evidence(name="penalty", value=penalty, unit="loss", reference=data)],
        0.0,
    )

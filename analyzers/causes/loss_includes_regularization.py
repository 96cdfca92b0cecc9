"""The printed loss contains penalties beside the loss on the data."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "The loss contains a regularization penalty"
SOURCE = "Keras adds `model.losses` to the compiled loss in fit and evaluate alike"
BENIGN = True
WHAT = (
    "Keras adds the penalties of regularizers and of `add_loss` to the loss in `fit` and in `evaluate`. A loss that "
    "is computed by hand from predictions lacks them. With strong weight decay the printed loss can be mostly "
    "penalty, while the one on the data is small."
)
LOOKS = (
    "The loss on the data and the penalty stand apart in the report (`data_loss`, `regularization_loss`), and the "
    "penalty is a visible share of the sum."
)
EVIDENCE = {
    "penalty": "What regularizers and added losses put on top. Held against the loss on the data.",
}
LOOK_ALIKES = {
    "metric_mismatch": "There the loss itself does not fit the output.",
    "bn_statistics_unconverged": (
        "A penalty is the same in both phases; a gap in the loss on the data is not explained by it."
    ),
}

NOTABLE = 0.1  # Share of the loss that the penalty makes up before anybody wonders ...
SEEN = 0.01  # ... and from which on it is in the digits that are printed.
ANSWER, BESIDE = 0.92, 0.5


def _usual(case: Case, inference: float) -> float:
    """The loss on the data in the better phase: a gap beside the penalty must not hide it."""
    training = case.training.data_loss
    return abs(inference) if training is None else min(abs(inference), abs(training))


def judge(case: Case) -> Finding | None:
    """Present where the penalty is a notable part of the loss."""
    data, penalty = case.inference.data_loss, case.inference.regularization_loss
    if data is None or not penalty:
        return None
    share = penalty / (_usual(case, data) + penalty)
    if share < SEEN:
        return None
    return Finding(
        ANSWER if share >= NOTABLE else BESIDE,
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

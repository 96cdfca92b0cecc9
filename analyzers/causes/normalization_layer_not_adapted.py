"""A `Normalization` layer that was never adapted: the identity, on data far from mean 0 and variance 1."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.symptoms import FAR, NormalizationFacts
from analyzers.wording import plural

TITLE = "A Normalization layer was never adapted"
SOURCE = "Keras' documentation of `Normalization`: call `adapt` before training, or give mean and variance"
WHAT = (
    "`keras.layers.Normalization` learns mean and variance by `adapt`, not by training. Without that, or when they "
    "were lost in saving or rebuilding, the layer stands at mean 0 and variance 1 and passes on what comes in. "
    "Weights that were trained behind an adapted layer then see inputs of another scale, in both phases."
)
LOOKS = (
    "A `Normalization` layer at mean 0 and variance 1, in all features or some, with inputs far from that. Where "
    "there are labels, the layer was adapted to the sample as a trial, and the loss before and after is given."
)
EVIDENCE = {
    "largest_mean_of_input": (
        "The largest mean of a feature that reaches the layer. Held against the value from which on an input is not "
        "standardized."
    ),
    "largest_sd_of_input": "The largest standard deviation, likewise.",
    "loss_with_layer_adapted": "Inference loss with the layer adapted to the sample. Held against the loss as sent.",
}
LOOK_ALIKES = {
    "input_scaling_mismatch": "There the sample was prepared wrongly and the model is in order.",
    "bn_statistics_never_updated": (
        "That is `BatchNormalization`, whose training phase does not need stored statistics."
    ),
}

MUCH = 0.5  # Share of the loss that adapting must take away before a layer on unremarkable data is blamed.


def judge(case: Case) -> Finding | None:
    """Present where such a layer is idle and the sample is far from standardized, or adapting it restores the model."""
    off = [n for n in case.normalizations if n.far or _restores(n)]
    if not off:
        return None
    n = max(off, key=lambda o: max(o.largest_mean, o.largest_sd))
    return Finding(
        0.92,
        "info" if n.harms else "critical" if _restores(n) else "warning",
        f"{_where(n)} at mean 0 and variance 1, where it does nothing, and what reaches it has means up to "
        f"{n.largest_mean:.3g} and standard deviations up to {n.largest_sd:.3g}. {_tried(n)}",
        [o.path for o in off],
        [
            *[Evidence(name="largest_mean_of_input", value=o.largest_mean, reference=FAR, layer=o.path) for o in off],
            *[Evidence(name="largest_sd_of_input", value=o.largest_sd, reference=FAR, layer=o.path) for o in off],
            *_losses(n),
        ],
        1.0,
    )


def _restores(n: NormalizationFacts) -> bool:
    if n.loss_as_sent is None or n.loss_adapted is None or not n.restores:
        return False
    return n.far or n.loss_adapted < MUCH * n.loss_as_sent


def _where(n: NormalizationFacts) -> str:
    if n.idle == n.features:
        return f"`{n.path}` stands"
    return f"In `{n.path}`, {plural(n.idle, 'feature')} of {n.features} stand"


def _tried(n: NormalizationFacts) -> str:
    if n.restores and n.loss_as_sent is not None and n.loss_adapted is not None:
        return (
            f"Given the sample's own mean and variance, inference has a loss of {n.loss_adapted:.3g} instead of "
            f"{n.loss_as_sent:.3g}: the weights were trained behind an adapted layer, and its statistics were lost in "
            "saving or rebuilding."
        )
    if n.harms:
        return (
            "Adapted to the sample it makes the loss larger: the model was trained with the layer as it is, and works "
            "in spite of it. Adapt it before the next training."
        )
    return (
        "Either it was never adapted, or its statistics were lost in saving or rebuilding. If the model was trained "
        "with it as it is, it works in spite of it; if not, adapt it on training data."
    )


def _losses(n: NormalizationFacts) -> list[Evidence]:
    if n.loss_adapted is None:
        return []
    return [Evidence(name="loss_with_layer_adapted", value=n.loss_adapted, reference=n.loss_as_sent, unit="loss")]

"""A `Normalization` layer that was never adapted: the identity, on data far from mean 0 and variance 1."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "A Normalization layer was never adapted"
SOURCE = "Keras' documentation of `Normalization`: call `adapt` before training, or give mean and variance"

FAR = 2.0  # Mean, or spread, of the data in the units that the layer takes them to be in.


def judge(case: Case) -> Finding | None:
    """Present where such a layer is the identity and the sample is far from standardized."""
    off = [n for n in case.normalizations if n.largest_mean > FAR or n.largest_sd > FAR]
    if not off:
        return None
    n = max(off, key=lambda o: o.largest_mean)
    return Finding(
        0.9,
        "warning",
        f"`{n.path}` stands at mean 0 and variance 1, where it does nothing, and the sample has means up to "
        f"{n.largest_mean:.3g} and standard deviations up to {n.largest_sd:.3g}. Either it was never adapted, or its "
        "statistics were lost in saving or rebuilding. If the model was trained with it as it is, it works in spite "
        "of it; if not, adapt it on training data.",
        [o.path for o in off],
        [Evidence(name="largest_mean_of_input", value=o.largest_mean, reference=0.0, layer=o.path) for o in off],
        1.0,
    )

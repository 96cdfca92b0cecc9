"""Undo what the converter did to the statistics; nothing is computed from the sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analyzers.case import Case, Finding
from analyzers.causes._conversion import best_conversion, converted_otherwise

TITLE = "Undo the wrong conversion"
TREATS = ("bn_conversion_mismatch",)
WHAT = (
    "Undoes what the converter did to the stored statistics, from the numbers in the file and nothing else. Correct "
    "the script, convert again, and compare one prediction with the original framework: a script that got one thing "
    "wrong may have got more wrong."
)


def constants(case: Case, finding: Finding) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The statistics as they were before the conversion, by layer."""
    found = best_conversion(case)
    if found is None:
        return {}
    return {p: (m.mean.astype(np.float32), m.variance.astype(np.float32)) for p, m in found.undone.items()}


def explain(case: Case, finding: Finding) -> str:
    """Which conversion is undone."""
    found, other = best_conversion(case), converted_otherwise(case)
    if found is None and other is not None:
        return (
            f"In this file {other.what}: {other.undo} where the model is built or filled, and convert again. Then "
            "compare one prediction with the original framework. No repaired model is offered, since this changes what "
            "the layers do and not only what they stored."
        )
    what = found.what if found else "the statistics were changed"
    return (
        f"In this file {what}; the repaired model has it undone. Correct the converting script and convert again, and "
        "compare one prediction with the original framework: a script that gets statistics wrong may get more wrong."
    )


def snippet(case: Case) -> str | None:
    """The places in which converters go wrong."""
    return (
        "# Keras' order: gamma, beta, moving_mean, moving_variance. The variance, not the standard deviation.\n"
        "norm.set_weights([bn.weight, bn.bias, bn.running_mean, bn.running_var])\n"
    )

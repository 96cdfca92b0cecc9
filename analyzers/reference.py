"""The reference of all causes and remedies as plain data, out of what their own files say.

`tools/causes.py` writes it to a file that the web process serves, which may not import what stands here.
"""

from __future__ import annotations

import inspect
from typing import Any

from analyzers import causes, remedies
from analyzers.case import Case, Gap
from analyzers.causes import _shared
from analyzers.remedies import Remedy
from analyzers.report import PhaseFigures
from analyzers.symptoms import WeightFacts

NOTHING_MEASURED = Case(
    samples=256,
    batch_size=32,
    labelled=True,
    layers=[],
    gap=Gap(0.0, 0.0, 0.0, 0.0, None, {}, None, None, False, False, False, False),
    inference=PhaseFigures(loss=None),
    training=PhaseFigures(loss=None),
    weights=WeightFacts(0, [], False),
    optimizer_iterations=None,
    stochastic=[],
    augmentation=[],
    non_finite_outputs=False,
)
"""What snippets are printed for: a case in which nothing but the number of samples is known."""

HELD_OUT = (
    "The service takes the statistics from some of the samples and tries them on the others. Where that helps beyond "
    "chance the remedy is `verified`, and the repaired model can be downloaded."
)
KNOWN = (
    "The service knows the statistics without taking any from the sample, and tries them on it. Where that helps "
    "beyond chance the remedy is `verified`, and the repaired model can be downloaded."
)
REBUILT = (
    "The service builds the model and tries it on the sample. The result is reported; the model itself is not served."
)
TRIED = (
    "Where the correction could be tried on the model, the report says how it fared. The model itself is not changed."
)
ADVICE = "The service cannot try it: it takes another training, other data or other code. The report says `not_tested`."

NOTHING = "There is nothing to try."


def reference() -> dict[str, Any]:
    """All causes and remedies by code."""
    return {"causes": [_cause(c) for c in causes.registered()], "remedies": [_remedy(r) for r in remedies.registered()]}


def _cause(cause: causes.Cause) -> dict[str, Any]:
    return {
        "code": cause.code,
        "title": cause.title,
        "what": cause.what,
        "source": cause.source,
        "looks": cause.looks,
        "benign": cause.benign,
        "residual": cause.residual,
        "outside": cause.outside,
        "evidence": [{"name": name, "meaning": text} for name, text in _evidence(cause).items()],
        "look_alikes": [{"code": code, "difference": text} for code, text in cause.look_alikes.items()],
        "remedies": [r.code for r in remedies.for_cause(cause.code)],
    }


def _evidence(cause: causes.Cause) -> dict[str, str]:
    """Its own pieces, and of those that several causes give the ones that it gives too."""
    source = inspect.getsource(cause.module)
    given = {"divergence": "divergence_evidence(", "inference_loss": "loss_evidence("}
    return dict(cause.evidence) | {n: t for n, t in _shared.EVIDENCE.items() if given[n] in source}


def _remedy(remedy: Remedy) -> dict[str, Any]:
    return {
        "code": remedy.code,
        "title": remedy.title,
        "what": remedy.what,
        "trial": _trial(remedy),
        "snippet": remedy.form or remedy.snippet(NOTHING_MEASURED),
        "treats": list(remedy.treats),
    }


def _trial(remedy: Remedy) -> str:
    if remedy.form is None and remedy.snippet(NOTHING_MEASURED) is None:
        return NOTHING
    if remedy.constants is not None:
        return KNOWN
    if remedy.paths is not None:
        return HELD_OUT
    if remedy.rebuild is not None:
        return REBUILT
    return TRIED if remedy.tries else ADVICE

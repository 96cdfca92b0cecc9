"""States back to zero."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Reset the states"
TREATS = ("stateful_layers",)
WHAT = (
    "Calls `reset_state()` on stateful layers before each new sequence, before `evaluate` and before `predict`; or "
    "builds them with `stateful=False` where no state should pass from batch to batch."
)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Call `reset_state()` on the stateful layers before each new sequence, before `evaluate` and before "
        "`predict`; or build them with `stateful=False` where no state should pass from batch to batch."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return "for layer in model.layers:\n    if getattr(layer, 'stateful', False):\n        layer.reset_state()\n"

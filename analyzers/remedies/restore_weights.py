"""Load the trained weights, and check that they arrived."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Restore the trained weights"
TREATS = ("weights_untrained",)
WHAT = (
    "Loads the trained weights into the model, checks that they arrived, and saves it again. Without `skip_mismatch` "
    "a mismatch raises instead of passing silently."
)


def explain(case: Case, finding: Finding) -> str:
    """Where weights get lost."""
    return (
        "Load the trained weights into this model and save it again. Check that `load_weights` names the right file, "
        "that it runs after the model is built, that it does not skip mismatched layers, and that layer names agree "
        "where weights are loaded by name."
    )


def snippet(case: Case) -> str | None:
    """Load, and prove that something was loaded."""
    return (
        "before = [w.numpy().copy() for w in model.weights]\n"
        "model.load_weights('trained.weights.h5')  # without skip_mismatch, so that a mismatch raises\n"
        "assert any((a != b.numpy()).any() for a, b in zip(before, model.weights)), 'nothing was loaded'\n"
    )

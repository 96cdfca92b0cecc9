"""Mixed batches in training."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Shuffle the batches and train again"
TREATS = ("bn_batch_composition",)
WHAT = (
    "Train again on batches that mix classes and domains as the whole of the data does. Where streams must stay apart "
    "(real and generated samples, say), give each its own batch normalization, or use a normalization that ignores "
    "the batch. Statistics taken anew do not undo what the weights have learned to read."
)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Train again on batches that mix classes and domains as the whole of the data does. For streams that must "
        "stay apart (real and generated, say), use separate batch normalization for each, or a normalization that "
        "ignores the batch."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return (
        "model.fit(x, y, shuffle=True)\n"
        "dataset = dataset.shuffle(len(x), reshuffle_each_iteration=True).batch(32)  # shuffle before batch\n"
    )

"""What was found in a file, in one clause: for messages of refusal, and for those who wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from analyzers.errors import ModelError
from analyzers.subjects.outline_facts import Outline
from analyzers.wording import plural

NAMES = {
    "keras": ".keras",
    "h5": ".h5",
    "saved_model": "SavedModel",
    "weights_h5": ".weights.h5",
    "legacy_weights_h5": "weights in .h5",
    "checkpoint": "checkpoint",
}
LONGEST_NOTE = 160


def clause(outline: Outline) -> str:
    """ "a full model by Keras 2.4.3 with 12 layers, 4 of them normalizing by batch"."""
    by = f" by Keras {_version(outline)}" if outline.keras_version else ""
    counts = f"{plural(outline.layers, 'layer')}{_normalizing(outline, ' of them')}"
    if outline.weights_only:
        return f"only the weights{by} of {counts}"
    what = "a SavedModel" if outline.format == "saved_model" else "a full model"
    return f"{what}{by} with {counts}" if outline.layers else f"{what}{by}"


def note(outline: Outline) -> str:
    """ "Keras 3.15 .keras: 177 layers, 53 batch-normalizing, 5 optimizer steps", in plain ASCII."""
    by = f"Keras {_version(outline)} " if outline.keras_version else ""
    parts = [plural(outline.layers, "layer")] if outline.layers else []
    parts += [f"{len(outline.normalizing)} batch-normalizing"] if outline.normalizing else []
    steps = outline.optimizer_iterations
    parts += [plural(steps, "optimizer step")] if steps is not None else []
    kind = f"{by}{NAMES[outline.format]}"
    said = f"{kind}: {', '.join(parts) or 'no layers named'}"
    return "".join(c for c in said if " " <= c <= "~")[:LONGEST_NOTE]


@contextmanager
def telling(outline: Outline | None) -> Iterator[None]:
    """Whatever the block refuses of a model, its message also says what was found in the file before."""
    try:
        yield
    except ModelError as error:
        if outline is None or not outline.layers or getattr(error, "told", False):
            raise
        error.args = (f"{error} Found in the file: {clause(outline)}.",)
        error.told = True  # type: ignore[attr-defined]
        raise


def _normalizing(outline: Outline, of_them: str) -> str:
    classes = {x.class_name for x in outline.normalizing}
    if not outline.normalizing:
        return ""
    name = next(iter(classes)) if len(classes) == 1 else "normalizing by batch"
    return f", {len(outline.normalizing)}{of_them} {name}"


def _version(outline: Outline) -> str:
    return "".join(c for c in outline.keras_version or "" if c.isalnum() or c in ".+-")[:20]

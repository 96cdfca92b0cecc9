"""What a model may raise while it runs, said to its owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from analyzers.errors import AnalysisError, BatchMismatch, OutOfMemory

LONGEST_REASON = 300  # The first sentence of a TensorFlow message; what follows are stacks and node names.


@contextmanager
def explained() -> Iterator[None]:
    """Turn failures of the model's own code into errors with a cause that its owner can act on.

    Wrap a run of the model and nothing else: an error of ours must not be put down to the batch.
    """
    try:
        with within_memory():
            yield
    except AnalysisError:
        raise
    except (ValueError, TypeError, tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError) as error:
        raise BatchMismatch(f"The model cannot run on this batch: {_reason(error)}") from error


@contextmanager
def within_memory() -> Iterator[None]:
    """Say what to send less of where memory runs out."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise OutOfMemory(
            "The model on this batch needs more memory than a diagnosis may have. Send fewer samples or a smaller "
            "batch_size."
        ) from error


def _reason(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [x.strip() for x in text.splitlines() if x.strip() and not x.startswith("Exception encountered")]
    text = re.sub(r"(/[\w.\-]+){2,}", "", lines[0] if lines else type(error).__name__)
    return text[:LONGEST_REASON]

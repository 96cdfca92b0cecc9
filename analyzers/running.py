"""What a model may raise while it runs, said to its owner."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

from analyzers.errors import AnalysisError, BatchMismatch, OutOfMemory

LONGEST_REASON = 300  # The first sentence of a TensorFlow message; what follows are stacks and node names.
MOST_VALUES = 5  # Of the user's own that are shown.
NODES = r"\{\{.*?\}\}|\[Op:.*"  # Names of graph nodes in a TensorFlow message.

OF_CODE = (AttributeError, LookupError, ArithmeticError, AssertionError, NotImplementedError)
"""What a layer raises on arguments that it was never meant for, and what our own mistakes raise."""

CALLED = "Exception encountered when calling"
"""Keras says so of everything that is raised within a layer, ..."""

ROUTED = {"_batch_normalizing", "_stochastic"}
"""... also of what passes through our code, where `own_code` has given another name to what is not ours."""

FRAME = re.compile(r'Exception encountered|Graph execution error|Detected at node|<stack traces|File "|\[\[\{\{node')
"""Lines that say where in the program, not what is wrong."""


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
    except OF_CODE as error:
        if CALLED not in str(error) or ROUTED & {frame.name for frame in traceback.extract_tb(error.__traceback__)}:
            raise
        raise BatchMismatch(f"The model cannot run on this batch: {_reason(error)}") from error


@contextmanager
def own_code() -> Iterator[None]:
    """Around a layer's own code where ours calls it: what goes wrong in there is not ours, whatever it is called."""
    try:
        yield
    except OF_CODE as error:
        raise ValueError(str(error)) from error


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
    known = ((re.search(pattern, text, re.DOTALL), say) for pattern, say in KNOWN)
    said = next((say(match) for match, say in known if match is not None), None)
    if said is not None:
        return said
    lines = [x.strip() for x in text.splitlines() if x.strip() and not FRAME.match(x.strip())]
    text = re.sub(r"(/[\w.\-]+){2,}", "", re.sub(NODES, "", lines[0]) if lines else type(error).__name__)
    return text[:LONGEST_REASON].strip()


def _index(found: re.Match[str]) -> str:
    return (
        f"a layer that looks up whole numbers, as Embedding does, was given {found[1]} and knows 0 to "
        f"{int(found[2]) - 1}. Send numbers from the vocabulary that it was trained with."
    )


def _not_in_vocabulary(found: re.Match[str]) -> str:
    values = dict.fromkeys(v for v in re.findall(r'"[^"]*"|[^\s"]+', found[1]) if v != "...")
    listed = ", ".join(list(values)[:MOST_VALUES])[:LONGEST_REASON]
    return (
        f"a lookup layer without a place for unknown values was given some that are not in its vocabulary: {listed}. "
        "Send values that it knows."
    )


def _no_vocabulary(_: re.Match[str]) -> str:
    return (
        "a lookup layer has no vocabulary. Give it one or adapt it before you save the model, and save it as `.keras`, "
        "which keeps the vocabulary."
    )


KNOWN: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"indices\[[\d,]*\] = (-?\d+) is not in \[0, (\d+)\)", _index),
    (r"found OOV values \[(.*?)\], consider", _not_in_vocabulary),
    (r"Table not initialized", _no_vocabulary),
)
"""What TensorFlow says in the words of its kernels, and how that is said to a model's owner."""

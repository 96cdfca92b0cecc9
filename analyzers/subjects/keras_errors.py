"""What Keras and h5py raise, as errors of this package: short, helpful, without paths or tracebacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from analyzers.errors import AnalysisError, ModelNeedsCustomCode, ModelUnreadable, ModelUnsafe, OutOfMemory

LONGEST_REASON = 200
"""Characters quoted of what Keras said: enough for its first sentence."""

UNSAFE = re.compile(
    r"safe_mode|[Uu]nsafe deserialization|Not allowed|arbitrary code|outside of|path traversal|disallowed"
)
CUSTOM = re.compile(
    r"Could not locate (class|function) '([^']{1,100})'|Unknown (?:layer|object|loss|metric)\w*:? '?([^'\s.]+)"
)
TRUNCATED = re.compile(r"truncated file: eof = (\d+), .*stored_eof = (\d+)")
"""What HDF5 says of a file that is shorter than its own header says."""

MISFIT = re.compile(r"[Ss]hape mismatch|incompatible with the layer|expects shape|expected \d+ (variables|layers)")
MISFITTING = (
    "has weights that do not fit the layers of its configuration, as if one of the two came from another model. Save "
    "both together: `model.save('model.keras')`"
)

CLASSES = re.compile(r"<class '(?:[\w.]+\.)?(\w+)'>")
"""What Python shows of a class; where its module stands is nothing to its reader."""

PATHS = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.\-~]+){2,}[\\/]?|0x[0-9a-f]{6,}")


@contextmanager
def explained(complaint: str, quote: bool = False) -> Iterator[None]:
    """Turn whatever the block raises into an `AnalysisError`.

    `complaint` completes "The model file ..."; `quote` adds the beginning of what Keras said.
    """
    try:
        yield
    except AnalysisError:
        raise
    except MemoryError as error:
        raise OutOfMemory("The model does not fit into the memory of a diagnosis.") from error
    except Exception as error:  # parsers of broken files raise anything at all
        raise _translated(error, complaint, quote) from error


def _translated(error: Exception, complaint: str, quote: bool) -> AnalysisError:
    said = str(error)
    custom = CUSTOM.search(said)
    if custom:
        name = custom.group(2) or custom.group(3)
        return ModelNeedsCustomCode(
            f"The model uses `{name}`, which is not part of Keras and cannot be loaded from a file."
        )
    if UNSAFE.search(said):
        return ModelUnsafe(
            "The model holds something that Keras refuses to load in safe mode. Rebuild it from plain layers."
        )
    if cut := TRUNCATED.search(said):
        return ModelUnreadable(
            f"The model file is cut short: {int(cut[1]):,} of {int(cut[2]):,} bytes came. Send it again."
        )
    complaint = MISFITTING if quote and MISFIT.search(said) else complaint
    return ModelUnreadable(f"The model file {complaint}.{_reason(said) if quote else ''}")


def _reason(said: str) -> str:
    """The first sentence of what was said, with what names this machine left out."""
    said = said.rsplit("Exception encountered:", 1)[-1]  # what went wrong inside stands last
    said = CLASSES.sub(r"`\1`", " ".join(said.split()))
    first = PATHS.sub("…", said)[:LONGEST_REASON].rsplit(". ", 1)[0].strip()
    return f" Keras says: {first}" if first else ""

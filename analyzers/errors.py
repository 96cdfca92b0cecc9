"""What can be wrong with an input, as an error tree. Each leaf's `code` is a problem code of the public contract.

    AnalysisError
    ├── ModelError
    │   ├── UnsupportedModelFormat   unsupported_model_format
    │   ├── ModelUnreadable          model_unreadable
    │   ├── ModelUnsafe              model_unsafe
    │   ├── ModelNeedsCustomCode     model_needs_custom_code
    │   └── NoPhaseInformation       no_phase_information
    ├── BatchError
    │   ├── UnsupportedBatchFormat   unsupported_batch_format
    │   ├── BatchUnreadable          batch_unreadable
    │   ├── BatchMismatch            batch_mismatch
    │   └── BatchTooSmall            batch_too_small
    ├── InvalidOption                invalid_request
    └── OutOfMemory                  out_of_memory

The message of every error is for the owner of the model: it says what was wrong and what would be right, and names no
path of the machine that it ran on.
"""

from __future__ import annotations

from typing import ClassVar

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for what a stranger's names may have in them and no message should: line ends, zeros, changes of direction."""


class AnalysisError(Exception):
    """The input cannot be diagnosed; `str(error)` tells its owner why and what to change, in whole sentences."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(_sentence("".join(c if c.isprintable() else UNPRINTABLE for c in message)))


class ModelError(AnalysisError):
    """Something about the model file."""


class UnsupportedModelFormat(ModelError):
    """The file is no model format that is read here."""

    code = "unsupported_model_format"


class ModelUnreadable(ModelError):
    """The file has the right format but is damaged, or this Keras cannot build it."""

    code = "model_unreadable"


class ModelUnsafe(ModelError):
    """The file holds code, or reaches outside itself."""

    code = "model_unsafe"


class ModelNeedsCustomCode(ModelError):
    """The model uses classes that are not part of Keras."""

    code = "model_needs_custom_code"


class NoPhaseInformation(ModelError):
    """Neither two phases nor stored statistics are in the file."""

    code = "no_phase_information"


class BatchError(AnalysisError):
    """Something about the sample batch."""


class UnsupportedBatchFormat(BatchError):
    """The file is no batch format that is read here."""

    code = "unsupported_batch_format"


class BatchUnreadable(BatchError):
    """The file has the right format but is damaged, holds objects, or lacks the array `x`."""

    code = "batch_unreadable"


class BatchMismatch(BatchError):
    """The arrays do not fit the model's inputs, its outputs, or each other."""

    code = "batch_mismatch"


class BatchTooSmall(BatchError):
    """The batch has no samples, or too few for anything to be said."""

    code = "batch_too_small"


class InvalidOption(AnalysisError):
    """An option (loss, metrics, batch size, seed) has no meaning for this model."""

    code = "invalid_request"


class OutOfMemory(AnalysisError):
    """Model and batch need more memory than a diagnosis may have."""

    code = "out_of_memory"


def _sentence(text: str) -> str:
    """`text` with a capital and a full stop. Names are left as they are: batch_size, and input `image` too."""
    word, _, rest = text.partition(" ")
    start = text[:1].upper() if word.isalpha() and word.islower() and not rest.startswith("`") else text[:1]
    return start + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")

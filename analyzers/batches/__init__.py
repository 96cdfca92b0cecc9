"""Sample batches: reading them, one file a format, and fitting them to a model. Needs no Keras."""

from analyzers.batches.fitting import fit_batch
from analyzers.batches.names import raw_from_arrays
from analyzers.batches.reading import read_batch
from analyzers.batches.spec import Batch, RawBatch, TensorSpec

__all__ = ["Batch", "RawBatch", "TensorSpec", "fit_batch", "raw_from_arrays", "read_batch"]

"""Models as the analysis gets them: checked without running them, loaded in safe mode, written back repaired."""

from analyzers.subjects.loading import LoadedModel, load_model
from analyzers.subjects.repair import write_repaired

__all__ = ["LoadedModel", "load_model", "write_repaired"]

"""Putting the statistics of a repaired model into a live one, and nothing else.

The live model's own `load_weights` reads the file, so whatever Keras the caller uses does the reading. Then every
variable is held against what it was: only moving statistics may differ. Where another one does, this is not the model
that was diagnosed, or not with those weights, and everything is put back.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasegap.errors import ApplyRefused, NotFound
from phasegap.texts import number, plain

if TYPE_CHECKING:
    from phasegap.report import Report

STATISTICS = ("moving_mean", "moving_variance")
WEIGHT_FILES = (".keras", ".h5", ".hdf5")
LAYERS_SHOWN = 8


@dataclass(frozen=True)
class LayerChange:
    """How far the statistics of one layer moved: the largest change among its channels."""

    layer: str
    largest_mean_change: float
    largest_variance_change: float


@dataclass(frozen=True)
class Applied:
    """What `Report.apply` changed. `undo()` puts the old statistics back."""

    remedy: str
    changes: list[LayerChange]
    _kept: list[tuple[Any, Any]] = field(repr=False, default_factory=list)

    def undo(self) -> None:
        """Put back the statistics that stood there before."""
        _assign(self._kept)

    def __str__(self) -> str:
        head = f"{self.remedy}: new moving statistics in {len(self.changes)} layers, nothing else changed"
        lines = [
            f"  {plain(c.layer)}: means by up to {number(c.largest_mean_change)}, variances by up to "
            f"{number(c.largest_variance_change)}"
            for c in self.changes[:LAYERS_SHOWN]
        ]
        more = len(self.changes) - len(lines)
        return "\n".join([head, *lines, *([f"  and {more} more"] if more > 0 else [])])


def apply(report: Report, model: Any, *, allow_not_tested: bool, repaired: str | os.PathLike[str] | None) -> Applied:
    """See `Report.apply`."""
    remedy = _remedy(report, allow_not_tested)
    _check_same_model(report, model)
    if repaired is not None:
        return _put_in(model, Path(repaired), remedy)
    with tempfile.TemporaryDirectory(prefix="phasegap-") as folder:
        try:
            path = report.download_repaired(folder)
        except NotFound as error:
            raise ApplyRefused(f"The service has the repaired model no more: {error.detail}") from error
        return _put_in(model, path, remedy)


def _remedy(report: Report, allow_not_tested: bool) -> str:
    remedy = report.repair
    if remedy is None:
        fix = report.fix
        advice = f" What it recommends is `{fix.code}`: {fix.title}." if fix is not None else ""
        raise ApplyRefused(f"This report has no fix that changes stored statistics only.{advice}")
    status, note = remedy.verification.status, remedy.verification.note
    if status == "rejected":
        raise ApplyRefused(f"`{remedy.code}` was tried and did not help. {note}".strip())
    if status == "not_tested" and not allow_not_tested:
        raise ApplyRefused(
            f"`{remedy.code}` was not tested on samples of its own, so it is not verified. {note} "
            "Send more samples, or take it untested: apply(model, allow_not_tested=True)."
        )
    return remedy.code


def _check_same_model(report: Report, model: Any) -> None:
    if not (callable(getattr(model, "load_weights", None)) and hasattr(model, "weights")):
        raise ApplyRefused(f"A live Keras model is wanted, not {type(model).__name__}.")
    if not model.built:
        raise ApplyRefused("The model is not built yet: call it once on data, then it has weights.")
    names = {str(layer.name) for layer in model._flatten_layers()}
    missing = [finding.path for finding in report.layer_findings if finding.path.rpartition("/")[2] not in names]
    if missing:
        shown = ", ".join(f"`{plain(path)}`" for path in missing[:3])
        raise ApplyRefused(f"This is not the model that was diagnosed: it has no layer {shown}.")
    parameters = int(model.count_params())
    if parameters != report.model.parameters:
        raise ApplyRefused(
            f"This is not the model that was diagnosed: it has {parameters} parameters, that one had "
            f"{report.model.parameters}."
        )


def _put_in(model: Any, path: Path, remedy: str) -> Applied:
    if path.suffix.lower() not in WEIGHT_FILES:
        raise ApplyRefused(
            f"The repaired model is a {''.join(path.suffixes) or 'file without ending'}, of which Keras cannot load "
            "weights into a live model. Save the repaired model with download_repaired() and load that."
        )
    weights = list(model.weights)
    before = [_value(variable) for variable in weights]
    aside = [(variable, _value(variable)) for variable in _others(model, weights)]
    kept = list(zip(weights, before, strict=True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of optimizer state, which is put back; weights are compared one by one
            model.load_weights(path)
        after = [_value(variable) for variable in weights]
        moved = [(v, old, new) for v, old, new in zip(weights, before, after, strict=True) if not _same(old, new)]
        _check_moved(moved)
    except Exception as error:
        _assign(kept)
        if isinstance(error, ApplyRefused):
            raise
        raise ApplyRefused(f"The repaired model does not fit this one: {plain(error)}") from error
    finally:
        _assign(aside)
    return Applied(remedy, _changes(moved), [(variable, old) for variable, old, _ in moved])


def _check_moved(moved: list[tuple[Any, Any, Any]]) -> None:
    foreign = [_path(variable) for variable, _, _ in moved if _own_name(variable) not in STATISTICS]
    if foreign:
        shown = ", ".join(f"`{plain(name)}`" for name in foreign[:3])
        raise ApplyRefused(
            f"This model's weights are not those that were diagnosed ({len(foreign)} differ, such as {shown}), and "
            "statistics belong to the weights that they were taken with. Diagnose it as it is now."
        )
    if not moved:
        raise ApplyRefused("The model has these statistics already; nothing was changed.")


def _changes(moved: list[tuple[Any, Any, Any]]) -> list[LayerChange]:
    import numpy as np

    largest: dict[str, dict[str, float]] = {}
    for variable, old, new in moved:
        layer, _, name = _path(variable).rpartition("/")
        change = np.abs(new.astype("float64") - old.astype("float64"))
        largest.setdefault(layer, {})[name] = float(change.max(initial=0.0))
    return [LayerChange(layer, f.get(STATISTICS[0], 0.0), f.get(STATISTICS[1], 0.0)) for layer, f in largest.items()]


def _others(model: Any, weights: list[Any]) -> list[Any]:
    """Variables that a file also holds and that are not the model's weights: random states, the optimizer's."""
    known = {id(variable) for variable in weights}
    optimizer = getattr(model, "optimizer", None)
    own = getattr(optimizer, "variables", None) or []
    found = [*model.variables, *(own() if callable(own) else own)]  # a method in old versions of Keras 2
    return [variable for variable in found if id(variable) not in known]


def _value(variable: Any) -> Any:
    import numpy as np  # the caller's: there is no Keras without it

    return np.asarray(variable).copy()


def _same(one: Any, other: Any) -> bool:
    """Equal to the last bit: so NaN equals itself."""
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


def _assign(values: list[tuple[Any, Any]]) -> None:
    for variable, value in values:
        variable.assign(value)


def _path(variable: Any) -> str:
    return str(getattr(variable, "path", None) or variable.name.removesuffix(":0"))


def _own_name(variable: Any) -> str:
    return _path(variable).rpartition("/")[2]

"""Which phase-dependent layer behaves how, and which statistics stand where.

While a switchboard is plugged in, the `call` of every site is routed through it. Any site can be put into training or
inference behaviour on its own, and any batch-normalizing site can be given any statistics as constants. A batch-
normalizing layer's own code does all the arithmetic, so subclasses, axes, masks and mixed precision need no second
implementation, and a replay of recorded statistics gives the recorded output to the last bit.

Unplugging restores every `call`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from analyzers.outputs import Outputs
from analyzers.running import explained, own_code
from analyzers.sample_moments import sample_moments
from analyzers.statistics import SampleMoments
from analyzers.subjects.direct_calls import DirectCalls
from analyzers.subjects.families import axis_of
from analyzers.subjects.keras_model import KerasSubject, Site
from analyzers.subjects.normalizing import Constants, as_stored, stored, with_batch_statistics, with_constants
from analyzers.tensors import float64


@dataclass(frozen=True)
class Setting:
    """One setting of all switches.

    `training` is the flag that the model is called with. `batch_statistics`, `stochastic` and `augmentation` override
    it for the sites of that kind where not None. `constants` names the sites that get given statistics, one pair a call
    of the site in a pass (a shorter sequence repeats its last pair); it goes before `batch_statistics`. `only`
    restricts batch statistics to the sites that it names. `record` keeps per-sample moments of what each batch-
    normalizing site saw. `until` ends the pass, by raising `Reached`, once each of the sites that it names was called.
    """

    training: bool = False
    batch_statistics: bool | None = None
    stochastic: bool | None = None
    augmentation: bool | None = None
    constants: Mapping[str, Sequence[Constants]] = field(default_factory=dict)
    only: frozenset[str] | None = None
    record: bool = False
    until: frozenset[str] | None = None


class Reached(BaseException):
    """Ends a pass early. No `Exception`, since Keras rewrites those on their way up."""


@dataclass(frozen=True)
class SiteCall:
    """One call of a batch-normalizing site: what it applied, and what it saw (where recorded)."""

    applied: Constants
    used_batch: bool
    seen: SampleMoments | None


class Switchboard:
    """Routes the sites of one subject. Use as a context manager; not re-entrant, one thread."""

    def __init__(self, subject: KerasSubject) -> None:
        self.subject = subject
        self.setting = Setting()
        self.calls: dict[str, list[SiteCall]] = {}
        self.flags: dict[str, set[bool]] = {}
        self.order: list[str] = []
        self.samples = 0
        self._direct = DirectCalls(subject.model)

    def __enter__(self) -> Switchboard:
        self._direct.__enter__()
        for site in self.subject.sites:
            object.__setattr__(site.layer, "call", self._routed(site, site.layer.call))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._direct.__exit__(kind, error, tb)
        for site in self.subject.sites:
            object.__delattr__(site.layer, "call")

    def run(self, inputs: Sequence[NDArray[Any]], setting: Setting) -> Outputs:
        """One pass over one batch, (samples, ...) each; returns the outputs as float64 arrays, `calls` holds the
        record.
        """
        self.setting, self.calls, self.flags, self.samples = setting, {}, {}, len(inputs[0])
        with explained():
            outputs = self.subject.forward(inputs, setting.training)
        logits = [getattr(o, "_keras_logits", None) for o in outputs]
        return Outputs([_plain(o) for o in outputs], [None if z is None else _plain(z) for z in logits])

    def _routed(self, site: Site, original: Any) -> Any:
        route = self._batch_normalizing if site.kind == "batch_normalizing" else self._stochastic

        def own(*args: Any, **kwargs: Any) -> Any:
            with own_code():
                return original(*args, **kwargs)

        def call(*args: Any, **kwargs: Any) -> Any:
            return route(site, own, args, kwargs)

        return call

    def _stochastic(self, site: Site, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        forced = self.setting.stochastic if site.kind == "stochastic" else self.setting.augmentation
        self.flags.setdefault(site.path, set()).add(bool(kwargs.get("training")))
        if forced is not None:
            kwargs = {**kwargs, "training": forced}
        return original(*args, **kwargs)

    def _batch_normalizing(self, site: Site, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer, path = site.layer, site.path
        flag = bool(args[1] if len(args) > 1 else kwargs.pop("training", False))  # Keras 2 takes it by position too
        if len(args) > 2:
            kwargs["mask"] = args[2]
        args = args[:1]
        self.flags.setdefault(path, set()).add(flag)
        if path not in self.calls:
            self.calls[path] = []
            if path not in self.order:
                self.order.append(path)
        wanted = flag if self.setting.batch_statistics is None else self.setting.batch_statistics
        wanted = wanted and (self.setting.only is None or path in self.setting.only)
        given = self.setting.constants.get(path)
        this = (original, args, kwargs)
        if given is not None:
            applied = given[min(len(self.calls[path]), len(given) - 1)]
            outputs = with_constants(layer, this, applied)
        elif wanted and layer.trainable:
            as_trained = self.setting.batch_statistics is None
            outputs, applied = with_batch_statistics(layer, this, renormalize=as_trained)
        else:
            outputs, applied = as_stored(layer, this), stored(layer)
        used_batch = given is None and wanted and bool(layer.trainable)
        mask = kwargs.get("mask")
        inputs = args[0] if args else kwargs["inputs"]
        seen = None
        if self.setting.record:
            seen = sample_moments(inputs, axis_of(layer), mask).by_sample(self.samples)
        self.calls[path].append(SiteCall(applied, used_batch, seen))
        if self.setting.until is not None and self.setting.until <= self.calls.keys():
            raise Reached
        return outputs


def _plain(tensor: Any) -> NDArray[np.float64]:
    return float64(keras.ops.cast(tensor, "float32"))

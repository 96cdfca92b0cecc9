"""Layers whose state a pass changes, moving statistics and random generators apart."""

from __future__ import annotations

from analyzers.observation import Observer
from analyzers.subjects.families import own_variables
from analyzers.subjects.keras_model import is_seed


def changed(observer: Observer) -> list[str]:
    """Paths of layers of which a training-phase pass changed variables: spectral normalization, custom layers.

    To be asked after `Observer.learn_mutable`.
    """
    moved = {id(observer.state.variables[i]) for i in observer.mutable if not is_seed(observer.state.variables[i])}
    normalizing = {id(s.layer) for s in observer.subject.of_kind("batch_normalizing")}
    paths: list[str] = []
    for path, layer in observer.subject.layers:
        inside = any(path.startswith(p + "/") for p in paths)  # a wrapper's state is its inner layer's kernel too
        if id(layer) not in normalizing and not inside and any(id(v) in moved for v in own_variables(layer)):
            paths.append(path)
    return paths

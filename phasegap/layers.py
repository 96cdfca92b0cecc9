"""The layers of a report as a table: a pandas DataFrame where pandas is, a list that draws itself elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyzers.report_layers import LayerFinding
from phasegap import html

OWN = (
    "class_name", "status", "share_of_gap", "inherited", "significant", "noise_floor", "smallest_detectable_kl",
    "effective_updates", "updates_to_converge", "channels", "significant_channels", "momentum", "epsilon", "trainable",
    "calls",
)  # fmt: skip
DIVERGENCE = ("kl", "mean_shift_sd", "variance_ratio", "wasserstein2")


class LayerList(list[LayerFinding]):
    """Layers in order of data flow; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return html.layers(self)


def as_frame(layers: Sequence[LayerFinding]) -> Any:
    """One row a layer, by path; None where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        return None
    rows = [
        {"path": layer.path, **{name: getattr(layer.divergence, name) for name in DIVERGENCE},
         **{name: getattr(layer, name) for name in OWN}}
        for layer in layers
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["path", *DIVERGENCE, *OWN]).set_index("path")

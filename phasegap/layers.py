"""The layers of a report as a table: a pandas DataFrame where pandas is, a list that draws itself elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyzers.report_layers import LayerFinding
from phasegap import html

VERDICT = ("share_of_gap", "status")  # first: a table that is too wide loses its middle
DIVERGENCE = ("kl", "mean_shift_sd", "variance_ratio", "wasserstein2")
OWN = (
    "class_name", "inherited", "significant", "noise_floor", "smallest_detectable_kl", "channels",
    "significant_channels", "momentum", "epsilon", "trainable", "calls", "updates_to_converge", "effective_updates",
)  # fmt: skip


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
    own = (*VERDICT, *OWN)
    rows = [
        {"path": layer.path, **{name: getattr(layer, name) for name in own},
         **{name: getattr(layer.divergence, name) for name in DIVERGENCE}}
        for layer in layers
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["path", *VERDICT, *DIVERGENCE, *OWN]).set_index("path")

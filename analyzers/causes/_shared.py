"""What several causes ask of a case: how bad the gap is, and how to say numbers."""

from __future__ import annotations

from analyzers.case import Case, LayerCase
from analyzers.report import Evidence, Severity

CRITICAL_RMS = 0.3  # Outputs moved by a third of their own spread: decisions change.
CRITICAL_LOSS = 0.5  # Half as much loss again is a model that its owner would not ship.


def severity_of_gap(case: Case) -> Severity:
    """How loud to be about a fault that opens the gap: info where the gap is not beyond noise."""
    gap = case.gap
    if not (gap.systematic_significant or gap.training_better or gap.undecided or case.non_finite_outputs):
        return "info"
    gain = gap.statistics_gain
    much_loss = gain is not None and gain.mean > CRITICAL_LOSS * max(abs(gain.after), 0.02)
    return "critical" if gap.systematic > CRITICAL_RMS or much_loss or case.non_finite_outputs else "warning"


def share(layers: list[LayerCase], case: Case) -> float:
    """The share of the batch-statistics gap that these layers open."""
    return sum(x.share_of_gap for x in layers) * case.gap.systematic


def worst_first(layers: list[LayerCase]) -> list[str]:
    """Paths, most divergent first."""
    return [x.path for x in sorted(layers, key=lambda x: -x.figures.kl)]


def divergence_evidence(layers: list[LayerCase], limit: int = 3) -> list[Evidence]:
    """The most divergent layers against their own noise floors."""
    worst = sorted(layers, key=lambda x: -x.figures.kl)[:limit]
    return [
        Evidence(name="divergence", value=x.figures.kl, unit="nats", reference=x.noise_floor, layer=x.path)
        for x in worst
    ]


def loss_evidence(case: Case) -> list[Evidence]:
    """Loss in both phases, where there are labels."""
    if case.inference.loss is None or case.training.loss is None:
        return []
    return [Evidence(name="inference_loss", value=case.inference.loss, reference=case.training.loss, unit="loss")]


def plural(count: int, word: str) -> str:
    """ "1 layer", "53 layers"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"

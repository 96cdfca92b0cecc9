"""Whether the tried correction of the input explains the gap: a rival that several causes must rule out."""

from __future__ import annotations

import math

from analyzers.case import Case, LayerCase, ScaleTrial
from analyzers.causes._lag import lags, left_by_lag
from analyzers.causes._shared import SOUND, shift_explains

MOST_LEFT = 0.5  # Nats that it may leave there: 0.02 and less were seen, few samples with heavy tails leave more.
MUCH_LESS = 0.25  # Of what one factor leaves behind the first layers, beyond what healthy samples leave.
COLLAPSE = 0.1  # The trial must remove nine tenths of the divergence, in the first layers and behind.
CLOSE = 0.25  # ... and three quarters of the distance to the training phase's outputs, which hides the scale by itself;
ROUGH = 0.1  # the noise of single batches, which no correction removes, is taken out of it, and known to a tenth.
ONE_FACTOR = 0.15  # Spread over channels of the factor that each wants: one common to all leaves sampling noise.
RIVAL = 0.5  # A lag of the first layers that leaves half as much, or less, is the better explanation.
CHANCE = 1.5  # Times the spread that sampling gives on average.
DEEP_KL = 0.05  # Nats: what layers of healthy nets on fresh samples stay well below ...
DEEP_FLOORS = 5.0  # ... or this many noise floors, where the sample is small.
NOTABLE_FACTOR = 0.1  # A factor within 10 % of 1, with little offset, is no forgotten preprocessing.
NOTABLE_SHIFT = 0.2  # Root mean square shift of the first layers in stored standard deviations that is worth naming.


def scale_alone_explains(case: Case) -> bool:
    """Whether it explains the gap without a lag beside it."""
    return scale_explains(case) and case.input_scale is not None and not case.input_scale.lagging


def scale_explains(case: Case) -> bool:
    """Whether one factor and one offset on the input explain the gap better than the statistics do."""
    trial = case.input_scale
    if trial is None:
        return False
    first = [x for x in case.layers if x.path in trial.paths]
    if not _notable(trial, first) or trial.spread > allowed_spread(trial) or any(x.at_start for x in first):
        return False
    if all(lags(x, case) for x in first) and left_by_lag(first) < RIVAL * trial.kl_after / max(trial.kl_before, 1e-12):
        return False  # One weight of the start says it better than one factor.
    if any(x.batch_at_inference for x in first):
        return False  # What is stored is never read.
    if any(not 0.0 < x.momentum < 1.0 for x in first):
        return False  # Statistics that could not move belong to another domain.
    collapsed = trial.kl_after < min(COLLAPSE * trial.kl_before, MOST_LEFT)
    # Undoing a lag leaves errors of its own behind the first layers, which pile up there.
    behind = trial.deep_kl_after <= (1.0 if trial.lagging else COLLAPSE) * trial.deep_kl_before + 0.01
    noise = case.gap.batch_noise
    closer = _net(trial.distance_after, noise) <= CLOSE * _net(trial.distance_before, noise) + ROUGH * noise
    return collapsed and behind and closer and not _deep_disagrees(case, trial) and not _channels_say_more(case, trial)


def _channels_say_more(case: Case, trial: ScaleTrial) -> bool:
    """Whether another light, or units of single channels, hold where one factor leaves something, unfitted in either.

    A bent curve is nearly straight, and what it leaves is small.
    """
    other = case.input_shift
    left = trial.deep_kl_after - SOUND
    return other is not None and shift_explains(case) and left > 0 and other.deep_kl_after < MUCH_LESS * left


def _net(distance: float, noise: float) -> float:
    return math.sqrt(max(distance**2 - noise**2, 0.0))


def allowed_spread(trial: ScaleTrial) -> float:
    """How far the channels' own factors may lie apart and still be one: few samples with heavy tails scatter them."""
    return math.hypot(ONE_FACTOR, CHANCE * trial.spread_by_chance)


def _notable(trial: ScaleTrial, first: list[LayerCase]) -> bool:
    """Whether factor or offset are more than the drift of a healthy sample."""
    shift = max((x.figures.mean_shift_sd for x in first), default=0.0)
    return abs(trial.factor - 1) > NOTABLE_FACTOR or shift > NOTABLE_SHIFT


def _deep_disagrees(case: Case, trial: ScaleTrial) -> bool:
    """On the corrected input every layer behind must find in the training phase what it stored."""
    deep = [x for x in case.normalizing if x.path not in trial.paths]
    floor = max((x.noise_floor for x in deep), default=0.0)
    return trial.deep_kl_training > max(DEEP_FLOORS * floor, DEEP_KL)

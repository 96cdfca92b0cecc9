"""What a right answer is, by cause: verdicts, remedies, and what must not be said or recommended beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

LAG, NEVER = "bn_statistics_unconverged", "bn_statistics_never_updated"
INERT, STALE = "bn_trained_in_inference_mode", "bn_statistics_stale"
FROZEN, SMALL = "bn_frozen_domain_shift", "bn_small_batch"
SORTED, CORRUPT = "bn_batch_composition", "bn_corrupt_statistics"
CONVERTED, FORCED, STEPS = "bn_conversion_mismatch", "bn_batch_statistics_at_inference", "bn_per_timestep"
NOISY, DRAWN, STATE = "stochastic_layers_expected", "stochastic_at_inference", "stateful_layers"
SCALED, SHIFTED = "input_scaling_mismatch", "input_distribution_shift"
NO_GAP, CHANNELS = "no_phase_gap", "input_channel_order_mismatch"
MAPPED, MISALIGNED = "label_mapping_mismatch", "labels_misaligned"
METRIC, PENALTY, UNTRAINED = "metric_mismatch", "loss_includes_regularization", "weights_untrained"
ADAPT, CONSTANT, EPSILON = "normalization_layer_not_adapted", "degenerate_output", "epsilon_dominates"
ROUNDING = "numerical_noise"

GAP, NONE, OPEN = "phase_gap", "no_phase_gap", "inconclusive"

RECALIBRATE, RESET = "recalibrate_bn_statistics", "reset_and_recalibrate"
PASS_FLAG, MATCH, LABELS, RESTORE = "pass_training_flag", "match_preprocessing", "fix_labels", "restore_weights"
NOTHING = ("none_needed", None)

ALWAYS_WRONG = frozenset(
    {SORTED, FORCED, CONVERTED, CORRUPT, STEPS, SMALL, NEVER, LAG, INERT, STALE, FROZEN, CONSTANT, CHANNELS, SCALED,
     MAPPED, MISALIGNED, METRIC, ADAPT, UNTRAINED}
)  # fmt: skip
"""Faults that no specimen may be accused of unless it has them or its row in `RULES` bears with them."""

FOR_NO_PHASE = frozenset({SHIFTED})
"""What is wrong to say, besides, of a specimen whose phases agree."""

FOR_HEALTHY = ALWAYS_WRONG | {EPSILON, SHIFTED, PENALTY, STATE, DRAWN, NOISY}

ALL_FIXES = frozenset(
    {RECALIBRATE, RESET, PASS_FLAG, MATCH, "fix_conversion", LABELS, RESTORE, "replace_with_instance_or_group_norm",
     "shuffle_batches", "restructure_layer", "fix_head"}
)  # fmt: skip


@dataclass(frozen=True)
class Expectation:
    """What a right answer accepts and what it must not say.

    `kind` is "fault", "benign" or "healthy"; `layers` must be named by the accepted cause ("a|b": either); `loud` are
    codes that must all be reported as warning or critical; `mention` must stand among the causes at all; `repaired`
    is "required", "optional" or "forbidden". `visible` is measured on the hold-out: a fault that moves nothing there
    may be called no gap too.
    """

    kind: str
    verdicts: tuple[str, ...]
    causes: tuple[str | None, ...]
    fixes: tuple[str | None, ...]
    forbidden_causes: tuple[str, ...]
    forbidden_fixes: tuple[str, ...]
    layers: tuple[str, ...] = ()
    loud: tuple[str, ...] = ()
    mention: tuple[str, ...] = ()
    repaired: str = "forbidden"
    visible: bool = True

    def but(self, **changes: Any) -> Expectation:
        """The same, with changes."""
        return replace(self, **changes)

    def bearing(self, *codes: str) -> Expectation:
        """The same, with causes that may be named beside the accepted ones."""
        return replace(self, forbidden_causes=tuple(c for c in self.forbidden_causes if c not in codes))

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @staticmethod
    def from_json(read: dict[str, Any]) -> Expectation:
        """Back from plain data."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in read.items()}
        return Expectation(**values)


@dataclass(frozen=True)
class Rule:
    """One cause's row: verdicts, fixes, causes that may be named beside it, fixes that harm, the repaired model."""

    verdicts: tuple[str, ...]
    fixes: tuple[str | None, ...]
    beside: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    repaired: str = "forbidden"
    kind: str = "fault"
    quiet: frozenset[str] = frozenset()


_ELSEWHERE = (MATCH, PASS_FLAG, LABELS, RESTORE)
_STATISTICS = (RECALIBRATE, RESET)
_ANY = (GAP, NONE, OPEN)
_OUTSIDE = (NONE, OPEN)

RULES: dict[str, Rule] = {
    LAG: Rule((GAP,), (RECALIBRATE,), (STALE,), (*_ELSEWHERE, "shuffle_batches"), "required"),
    NEVER: Rule((GAP,), (RECALIBRATE, RESET), (), _ELSEWHERE, "required"),
    STALE: Rule((GAP,), (RECALIBRATE,), (FROZEN,), _ELSEWHERE, "required"),
    CORRUPT: Rule((GAP,), (RESET, RECALIBRATE), (CONVERTED, STALE), _ELSEWHERE, "required"),
    CONVERTED: Rule((GAP,), ("fix_conversion", RECALIBRATE), (CORRUPT, FROZEN, STALE), _ELSEWHERE, "optional"),
    FROZEN: Rule((GAP,), (RECALIBRATE, MATCH), (STALE, SCALED), (LABELS, RESTORE), "optional"),
    SMALL: Rule((GAP,), ("replace_with_instance_or_group_norm",), (), _ELSEWHERE, "optional"),
    SORTED: Rule((GAP,), ("shuffle_batches",), (STALE,), (*_STATISTICS, *_ELSEWHERE)),
    INERT: Rule((GAP,), (PASS_FLAG, *NOTHING), (), (*_STATISTICS, MATCH, RESTORE, LABELS)),
    STEPS: Rule((GAP,), ("restructure_layer",), (), (*_STATISTICS, *_ELSEWHERE)),
    FORCED: Rule(_ANY, (PASS_FLAG,), (), (*_STATISTICS, MATCH, LABELS, RESTORE), quiet=frozenset({DRAWN})),
    DRAWN: Rule(_ANY, (PASS_FLAG,), (), (*_STATISTICS, MATCH, LABELS, RESTORE)),
    SCALED: Rule((GAP,), (MATCH,), (), (*_STATISTICS, PASS_FLAG, LABELS, RESTORE)),
    SHIFTED: Rule(
        (GAP, OPEN), (MATCH, None), (STALE, FROZEN, CHANNELS, SCALED), (*_STATISTICS, PASS_FLAG, LABELS, RESTORE)
    ),
    CHANNELS: Rule((NONE, GAP), (MATCH,), (ADAPT,), (*_STATISTICS, PASS_FLAG, LABELS, RESTORE)),
    MAPPED: Rule(_OUTSIDE, (LABELS,), (), (*_STATISTICS, MATCH, PASS_FLAG, RESTORE), quiet=FOR_NO_PHASE | {NOISY}),
    MISALIGNED: Rule(_OUTSIDE, (LABELS,), (), (*_STATISTICS, MATCH, PASS_FLAG, RESTORE), quiet=FOR_NO_PHASE | {NOISY}),
    METRIC: Rule(_OUTSIDE, ("fix_metric",), (CONSTANT, ADAPT), (*_STATISTICS, *_ELSEWHERE), quiet=FOR_NO_PHASE),
    UNTRAINED: Rule(_ANY, (RESTORE,), (ADAPT, CONSTANT), (*_STATISTICS, MATCH, PASS_FLAG, LABELS)),
    ADAPT: Rule(_OUTSIDE, ("adapt_normalization",), (CONSTANT, SCALED), (*_STATISTICS, RESTORE, LABELS), "optional"),
    CONSTANT: Rule(
        _OUTSIDE, ("fix_head",), (METRIC, ADAPT, UNTRAINED), (*_STATISTICS, PASS_FLAG, MATCH, LABELS)
    ),
    PENALTY: Rule((NONE,), NOTHING, (), (*_STATISTICS, MATCH, LABELS, RESTORE, "fix_metric"), "forbidden", "benign",
                  FOR_NO_PHASE | {NOISY}),
    NOISY: Rule((GAP, NONE), NOTHING, (), (*_STATISTICS, *_ELSEWHERE), "forbidden", "benign", frozenset({DRAWN})),
    STATE: Rule(_ANY, ("reset_states", *NOTHING), (), (*_STATISTICS, *_ELSEWHERE), "forbidden", "benign",
                frozenset({DRAWN, NOISY})),
    EPSILON: Rule((NONE,), (*NOTHING, "fix_conversion", MATCH), (), tuple(ALL_FIXES - {"fix_conversion", MATCH}),
                  "forbidden", "benign", FOR_HEALTHY - {EPSILON}),
}  # fmt: skip


def fault(cause: str, **changes: Any) -> Expectation:
    """What a right answer is where the cause is at work."""
    rule = RULES[cause]
    made = Expectation(
        kind=rule.kind,
        verdicts=rule.verdicts,
        causes=(cause,),
        fixes=rule.fixes,
        forbidden_causes=tuple(sorted((ALWAYS_WRONG | rule.quiet) - {cause, *rule.beside})),
        forbidden_fixes=tuple(rule.unsafe),
        repaired=rule.repaired,
    )
    return replace(made, **changes)


def healthy(**changes: Any) -> Expectation:
    """What a right answer is where nothing is wrong."""
    made = Expectation(
        kind="healthy",
        verdicts=(NONE,),
        causes=(NO_GAP, None, ROUNDING),
        fixes=NOTHING,
        forbidden_causes=tuple(sorted(FOR_HEALTHY)),
        forbidden_fixes=tuple(sorted(ALL_FIXES)),
    )
    return replace(made, **changes)


def softened(expect: Expectation) -> Expectation:
    """For a fault that moves nothing on the hold-out: no gap, or an open verdict, is right as well."""
    return replace(
        expect,
        visible=False,
        verdicts=tuple(dict.fromkeys((*expect.verdicts, NONE, OPEN))),
        causes=tuple(dict.fromkeys((*expect.causes, NO_GAP, None, ROUNDING))),
        fixes=tuple(dict.fromkeys((*expect.fixes, *NOTHING))),
        repaired="optional" if expect.repaired == "required" else expect.repaired,
        layers=(),
        loud=(),
    )

"""Everything that enters a mechanism, imported: whoever imports this module finds them all in the registry."""

from __future__ import annotations

from benchmarks.quality import (
    benign,
    faults_flag,
    faults_input,
    faults_outside,
    faults_statistics,
    faults_training,
    faults_two,
    faults_values,
    healthy,
)
from benchmarks.quality.registry import ENTRIES, Entry

MODULES = (
    healthy, faults_statistics, faults_values, faults_training, faults_input, faults_outside, faults_two, faults_flag,
    benign,
)  # fmt: skip


def entry(mechanism: str, variant: str) -> Entry:
    """The entry of a mechanism's variant."""
    return next(e for e in ENTRIES if (e.mechanism, e.variant) == (mechanism, variant))

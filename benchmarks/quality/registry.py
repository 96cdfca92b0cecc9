"""Mechanisms by name: their variants, the networks and heads they apply to, and how many of each a seed makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.quality.nets import NETS
from benchmarks.quality.settings import stream
from benchmarks.quality.specimens import Make, Order


@dataclass(frozen=True)
class Entry:
    """One variant of a mechanism."""

    mechanism: str
    variant: str
    make: Make
    nets: tuple[str, ...]
    heads: tuple[str, ...] | None
    repeats: int


ENTRIES: list[Entry] = []


def mechanism(
    variants: dict[str, int], nets: tuple[str, ...] = tuple(NETS), heads: tuple[str, ...] | None = None
) -> Callable[[Make], Make]:
    """Enter a function as the mechanism of its name; `variants` maps each to how many a seed makes.

    `heads` limits what the networks learn to the heads named; None leaves each network its own choice.
    """

    def enter(make: Make) -> Make:
        for variant, repeats in variants.items():
            ENTRIES.append(Entry(make.__name__, variant, make, nets, heads, repeats))
        return make

    return enter


def orders(seed: int, only: list[str] | None = None) -> Iterator[tuple[Entry, Order]]:
    """What one seed makes: each variant on networks drawn without repetition, severities in turn."""
    for entry in ENTRIES:
        if only and entry.mechanism not in only and f"{entry.mechanism}.{entry.variant}" not in only:
            continue
        rng = stream("orders", entry.mechanism, entry.variant, seed)
        fitting = [net for net in entry.nets if _heads(entry, net)]
        first = int(rng.integers(3))
        for i, net in enumerate([str(n) for n in rng.permutation(fitting)][: entry.repeats]):
            yield entry, Order(entry.mechanism, entry.variant, net, seed, (first + i) % 3, _heads(entry, net))


def _heads(entry: Entry, net: str) -> tuple[str, ...]:
    return tuple(head for head in NETS[net].heads if entry.heads is None or head in entry.heads)

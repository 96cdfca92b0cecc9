"""How much of the recoverable gap each way of taking statistics recovers, on fresh samples, by how many were sent.

    .venv/bin/python -m benchmarks.remedies [--seeds 1] [--first-seed 500] [--nets mlp ...] [--samples 16 32 64 200]

A network with a fault of its statistics is diagnosed on n samples. Then every way of mending it, and the one that the
diagnosis took, is judged on 2000 samples that nobody saw: (loss as sent - loss mended) / (loss as sent - loss with the
statistics of the whole training set). Harm: the loss rises by 5 % without more right decisions, or 2 % of decisions get
worse. Where the diagnosis offers no repaired model, nothing is counted for the way taken, and the count is smaller.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from analyzers.batches import fit_batch, raw_from_arrays
from analyzers.causes import judge_all
from analyzers.competition import EQUAL, LIGHT
from analyzers.evaluation import Compiled, Evaluator
from analyzers.measuring import Measured, measure
from analyzers.observation import Observer
from analyzers.prescribing import prescribe
from analyzers.priors import blend, prior
from analyzers.signature import specs
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Constants
from analyzers.verdict import decide
from benchmarks.quality.catalogue import entry
from benchmarks.quality.nets import sample
from benchmarks.quality.settings import LOSS
from benchmarks.quality.specimens import Order, Specimen, Unfit, batch
from benchmarks.quality.training import figures, outputs

FRESH = 2000  # Samples that judge: the standard error of their mean loss is below 1 % of the gaps looked at.
SEEN = 0.05  # Nats (or squared error): a smaller gap has no share worth giving.
FAULTS = ("lag.m99", "lag.m999", "lag.moving", "stale.pruned", "stale.earlier", "stale.ema", "never.labelled",
          "corrupt.nan", "outlier.sample")  # fmt: skip
TAKEN, SAMPLE = "taken by the diagnosis", "the sample alone"
Ways = dict[str, Mapping[str, Constants]]


def specimens(faults: list[str], nets: list[str], seeds: range) -> Iterator[Specimen]:
    """Softmax networks with a fault of their statistics; those that do not show it are left out."""
    for fault in faults:
        mechanism, variant = fault.split(".")
        for net in nets:
            for seed in seeds:
                order = Order(mechanism, variant, net, seed, seed % 3, ("softmax",))
                try:
                    yield entry(mechanism, variant).make(order)
                except Unfit:
                    continue


def ways(made: Specimen, n: int) -> Ways:
    """The statistics of each way, by path, from n samples of the right kind."""
    x, y = batch(made.order, n)
    raw = raw_from_arrays(x, y, None)
    sent = fit_batch(raw, *specs(made.model, raw))
    evaluator = Evaluator(Compiled(LOSS["softmax"], ["accuracy"]), sent.output_names, sent.y, None)
    optimizer = getattr(made.model, "optimizer", None)
    steps = int(optimizer.iterations) if optimizer is not None else None
    with Observer(KerasSubject(made.model), sent, min(32, n), 0) as observer:
        measured = measure(observer, evaluator, steps, lambda fraction: None)
        findings = judge_all(measured.case)
        primary = decide(measured.case, findings).primary
        taken = prescribe(observer, evaluator, measured, findings, primary).constants
    found = _each(measured, {c.code for c, f in findings if f.severity != "info"})
    return {**found, TAKEN: taken} if taken else found


def _each(measured: Measured, causes: set[str]) -> Ways:
    if measured.fitted is None:
        return {}
    plain = measured.fitted.constants
    found: Ways = {SAMPLE: plain}
    known = prior(measured.case, causes, list(plain))
    if known is not None:
        for share in (LIGHT, EQUAL, 1.0):
            found[f"prior at {share:.0%}"] = blend(known.moments, plain, share)
    return found


def judged(made: Specimen, constants: Mapping[str, Constants], fresh: tuple[Any, Any]) -> tuple[float, float]:
    """Loss and accuracy of inference on fresh samples with these statistics."""
    sites = {s.path: s.layer for s in KerasSubject(made.model).of_kind("batch_normalizing")}
    kept = {p: (np.array(n.moving_mean), np.array(n.moving_variance)) for p, n in sites.items()}
    for chosen in (constants, kept):
        if chosen is kept:
            result = figures(outputs(made.model, fresh[0]), fresh[1], made.head)
        for path, (mean, variance) in chosen.items():
            sites[path].moving_mean.assign(mean)
            sites[path].moving_variance.assign(variance)
    return result


def main() -> None:
    """Print, for each number of samples and way: median and worst share recovered, how often harm was done."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--first-seed", type=int, default=500)
    options.add_argument("--nets", nargs="*", default=["mlp", "deep_mlp", "plain", "separable", "residual"])
    options.add_argument("--faults", nargs="*", default=list(FAULTS))
    options.add_argument("--show", action="store_true", help="print every network's shares")
    options.add_argument("--limit-seconds", type=float, default=3600.0)
    options.add_argument("--samples", nargs="*", type=int, default=[16, 32, 64, 200])
    chosen = options.parse_args()
    began = time.perf_counter()
    shares: dict[tuple[int, str], list[float]] = defaultdict(list)
    harms: dict[tuple[int, str], int] = defaultdict(int)
    count = 0
    for made in specimens(chosen.faults, chosen.nets, range(chosen.first_seed, chosen.first_seed + chosen.seeds)):
        count += _one(made, chosen.samples, shares, harms, chosen.show)
        if time.perf_counter() - began > chosen.limit_seconds:
            break
    for (n, way), found in sorted(shares.items()):
        low = f"median {np.median(found):6.3f}  mean {np.mean(found):6.3f}  worst {min(found):6.3f}"
        print(f"{n:4} samples  {way:24} {low}  harm {harms[n, way]:2} of {len(found)}")
    print(f"{count} networks, {time.perf_counter() - began:.0f} s")


def _one(made: Specimen, sizes: list[int], shares: Any, harms: Any, show: bool) -> int:
    fresh = sample(made.order.setting, FRESH, "fresh")
    sent, best = judged(made, {}, fresh), figures(outputs(made.oracle, fresh[0]), fresh[1], made.head)
    gap = sent[0] - best[0]
    if not gap > SEEN:
        return 0
    for n in sizes:
        for way, constants in ways(made, n).items():
            loss, score = judged(made, constants, fresh)
            shares[n, way].append((sent[0] - loss) / gap)
            harm = score < sent[1] - 0.02 or (loss > 1.05 * sent[0] and score < sent[1] + 0.02)
            harms[n, way] += harm
            if show:
                print(f"    {made.order.name} {n}: {way} {shares[n, way][-1]:.3f}{' HARM' if harm else ''}", flush=True)
    return 1


if __name__ == "__main__":
    main()

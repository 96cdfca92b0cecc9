"""What `/metrics` says of the whole installation: out of the database, which web processes and workers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__
from app.errors import CATALOG
from app.jobs import tallies
from app.sandbox.protocol import Limit
from app.services import Services

Tallies = dict[str, dict[str, float]]


class JobCollector(Collector):
    """Figures of all jobs, read when they are asked for. Each web process gives the same: take the largest."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        yield from self._state()
        yield from self._bounds()
        found = tallies.read(self._services.database)
        yield _jobs(found.get(tallies.JOBS, {}))
        yield _histogram(
            found,
            tallies.STAGES,
            HistogramMetricFamily(
                "phasegap_stage_duration_seconds", "Time that succeeded jobs spent in each stage.", labels=["stage"]
            ),
        )
        yield _histogram(
            found,
            tallies.MEMORY,
            HistogramMetricFamily(
                "phasegap_guest_peak_memory_bytes", "Peak memory of the process of each job.", labels=["outcome"]
            ),
        )
        limits = get_args(Limit)
        yield _counter(found, tallies.LIMITS, "phasegap_limits_hit", "Jobs ended for running into it.", "limit", limits)
        again = "Runs put back into the queue."
        yield _counter(found, tallies.REQUEUED, "phasegap_jobs_requeued", again, "reason", tallies.REASONS)
        reused = found.get(tallies.REUSED, {}).get("", 0.0)
        yield CounterMetricFamily("phasegap_reports_reused", "Jobs answered without a run: same content.", reused)

    def _state(self) -> Iterator[Metric]:
        counts, oldest_s = self._services.store.queue_figures()
        yield GaugeMetricFamily("phasegap_queue_depth_jobs", "Jobs that wait.", counts.get("queued", 0))
        yield GaugeMetricFamily("phasegap_running_jobs", "Jobs that run.", counts.get("running", 0))
        yield GaugeMetricFamily("phasegap_queue_oldest_age_seconds", "Age of the oldest waiting job.", oldest_s)
        found = self._services.workers.live_with_silence()
        workers = [worker for worker, _ in found]
        yield GaugeMetricFamily("phasegap_workers", "Workers that live.", len(workers))
        yield GaugeMetricFamily("phasegap_worker_slots", "Jobs they can run at a time.", sum(w.slots for w in workers))
        unserved = sum(self._services.places.unserved(workers).values())
        yield GaugeMetricFamily("phasegap_unserved_jobs", "Waiting jobs that no living worker can do.", unserved)
        yield GaugeMetricFamily(
            "phasegap_worker_silence_seconds",
            "Age of the oldest heartbeat of a living worker.",
            max((silence_s for _, silence_s in found), default=0.0),
        )
        blobs = self._services.blobs
        yield GaugeMetricFamily("phasegap_disk_free_bytes", "Free space where uploads arrive.", blobs.free_bytes())
        yield GaugeMetricFamily("phasegap_store_reachable", "Whether files can be stored now.", int(blobs.is_there()))

    def _bounds(self) -> Iterator[Metric]:
        settings = self._services.settings
        yield GaugeMetricFamily("phasegap_queue_limit_jobs", "Jobs that may wait.", settings.queue_limit_jobs)
        yield GaugeMetricFamily(
            "phasegap_guest_memory_limit_bytes", "Memory that a job may have.", settings.guest_memory_limit_bytes
        )
        build = GaugeMetricFamily("phasegap_build_info", "The version that answers.", labels=["version"])
        build.add_metric([__version__], 1.0)
        yield build


def _jobs(counts: dict[str, float]) -> Metric:
    names = ["outcome", "verdict", "cause", "code"]
    family = CounterMetricFamily("phasegap_jobs", "Jobs that ended, by how.", labels=names)
    failures = {tallies.job_labels("failed", None, None, code): 0.0 for code in CATALOG}
    for joined, count in (failures | counts).items():
        labels = joined.split("|") if joined.count("|") == len(names) - 1 else ["other"] * len(names)
        family.add_metric(labels, count)
    return family


def _counter(found: Tallies, metric: str, name: str, meaning: str, label: str, known: Iterable[str]) -> Metric:
    """A counter with one label. What is known begins at 0: of a series that begins at 1 no increase is ever seen."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for value, count in (dict.fromkeys(known, 0.0) | found.get(metric, {})).items():
        family.add_metric([value], count)
    return family


def _histogram(found: Tallies, of: tallies.Distribution, family: HistogramMetricFamily) -> Metric:
    counts = found.get(of.counts, {})
    for label, total in found.get(of.sums, {}).items():
        running, points = 0.0, []
        for bound in (*(str(b) for b in of.bounds), "inf"):
            running += counts.get(f"{label}|{bound}", 0.0)
            points.append(("+Inf" if bound == "inf" else bound, running))
        family.add_metric([label], points, sum_value=total)
    return family

"""The worker process: warms the sandbox, joins, takes jobs, and on SIGTERM lets go of them so that others run them.

It must stop at once when its row is gone from the list of workers: then its jobs have been given away.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from app.jobs.engine import WorkerLoop
from app.kin import EXIT_NO_DEVICE, EXIT_NOT_ISOLATED
from app.locks import is_abandoned
from app.sandbox.host import LOCKED_PREFIXES, IsolationTooWeak
from app.services import Services, Upkeep, prepare
from app.settings import Settings
from app.traces import end_traces
from app.worker.abilities import abilities, queues_for
from app.worker.care import DeviceCare, TriesDevices
from app.worker.devices import AUTO, DeviceMissing, choose, processor
from app.worker.edition import edition_of
from app.worker.runner import JobRunner, RunsTasks
from app.worker.slots import Slots

EXIT_DECLARED_DEAD = 3
EXIT_NO_SANDBOX = 4
ALIVE = "alive"
"""A file in the data folder, touched with each heartbeat: what a container's health check looks at."""

log = structlog.get_logger(__name__)


class RunsGuests(RunsTasks, TriesDevices, Protocol):
    """A sandbox that can be started and closed."""

    def start(self) -> None: ...
    def close(self) -> None: ...


class WorkerProcess:
    """One worker from start to exit code."""

    def __init__(self, settings: Settings, sandbox: RunsGuests) -> None:
        prepare(settings)
        self._settings = settings
        self._services = Services(settings)
        self._sandbox = sandbox
        self._shutdown = threading.Event()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._shutdown.set())
        try:
            self._slots = self._find_slots()
            self._sandbox.start()
        except DeviceMissing as error:
            log.error("device_missing", reason=str(error))
            return EXIT_NO_DEVICE
        except IsolationTooWeak as error:
            log.error("isolation_too_weak", reason=str(error))
            return EXIT_NOT_ISOLATED
        except Exception as error:
            log.exception("sandbox_unavailable", reason=str(error))
            return EXIT_NO_SANDBOX
        return self._work()

    def _find_slots(self) -> Slots:
        wanted = self._settings
        devices = choose(wanted.devices, wanted.slots, wanted.guests_per_gpu, wanted.gpu_memory_fraction)
        return Slots(devices, self._services.places.first_of)

    def _work(self) -> int:
        isolation, edition = getattr(self._sandbox, "isolation", None), edition_of(self._settings)
        slots, upkeep = self._slots, Upkeep(self._services)
        care = DeviceCare(slots, self._sandbox, self._settings.device_recheck_seconds)
        care.first_look()
        if not slots.usable and self._settings.devices == AUTO:
            log.warning("no_gpu_works", instead="cpu")  # a driver without the libraries that go with it, often
            slots.add(processor(self._settings.slots))
        can = abilities(self._settings, slots)
        worker_id, lock = self._services.workers.join(slots.usable, isolation, edition, can)
        clear_dead_scratch(self._settings.data_dir / "scratch", self._services)
        self._services.blobs.hurry_when(self._shutdown.is_set)
        runner = JobRunner(self._services, self._sandbox, worker_id, self._shutdown.is_set, edition, slots, care.doubt)
        loop = WorkerLoop(self._settings, worker_id, runner.run_job, queues_for(self._settings, slots), slots)
        loop.start()
        upkeep.start()
        care.start(lambda: self._tell(worker_id))
        devices = [device.name for device in slots.devices]
        log.info("worker_ready", worker_id=worker_id, slots=slots.usable, devices=devices, isolation=isolation)
        code = self._beat_until_shutdown(worker_id, runner)
        care.stop()
        self._wind_down(loop, runner, upkeep, worker_id)
        lock.release()
        return code

    def _tell(self, worker_id: str) -> None:
        can = abilities(self._settings, self._slots)
        self._quietly(lambda: self._services.workers.tell(worker_id, self._slots.usable, can))

    def _beat_until_shutdown(self, worker_id: str, runner: JobRunner) -> int:
        scratch, swept_s = self._settings.data_dir / "scratch", time.monotonic()
        while not self._shutdown.wait(self._settings.heartbeat_seconds):
            if not self._try_to_beat(worker_id):
                log.error("declared_dead", worker_id=worker_id)
                self._shutdown.set()
                return EXIT_DECLARED_DEAD
            self._quietly((self._settings.data_dir / ALIVE).touch)
            self._quietly(lambda: self._services.reconciler.give_back_abandoned(worker_id, runner.held))
            if time.monotonic() - swept_s >= self._settings.sweep_seconds:
                swept_s = time.monotonic()
                self._quietly(lambda: clear_dead_scratch(scratch, self._services))  # of workers that nobody restarts
        return 0

    def _try_to_beat(self, worker_id: str) -> bool:
        try:
            return self._services.workers.beat(worker_id)
        except Exception:
            log.exception("heartbeat_failed")  # the database is away: the lease decides, not we
            return True

    def _wind_down(self, loop: WorkerLoop, runner: JobRunner, upkeep: Upkeep, worker_id: str) -> None:
        loop.stop_taking()
        upkeep.stop()
        deadline_s = time.monotonic() + self._settings.shutdown_seconds * 0.7
        while runner.held and time.monotonic() < deadline_s:
            time.sleep(0.02)
        self._quietly(lambda: self._services.workers.leave(worker_id))
        self._quietly(self._sandbox.close)
        log.info("worker_left", worker_id=worker_id, held=len(runner.held))

    @staticmethod
    def _quietly(action: Callable[[], object]) -> None:
        try:
            action()
        except Exception:
            log.exception("worker_housekeeping_failed")


def clear_dead_scratch(scratch: Path, services: Services) -> None:
    """Remove folders of runs, rehearsals and waiting guests that are over: what a worker that was killed has left."""
    if not scratch.is_dir():
        return
    for folder in scratch.iterdir():
        diagnosis_id, _, attempt = folder.name.rpartition("-")
        if folder.name.startswith(LOCKED_PREFIXES):
            is_over = is_abandoned(folder)
        else:
            is_over = attempt.isdigit() and not services.lifecycle.is_running(diagnosis_id, int(attempt))
        if is_over:
            shutil.rmtree(folder, ignore_errors=True)


def run_worker(settings: Settings, sandbox: RunsGuests) -> None:
    """Run a worker in this process and leave it. Queue threads that are parked must not keep a process alive."""
    code = WorkerProcess(settings, sandbox).run()
    end_traces()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

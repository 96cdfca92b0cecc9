"""Whether jobs will be run, looked at once a second beside the requests.

The health check of a busy server must not stand in line with what keeps it busy: a request reads what was found last.
A look that hangs is found by its age.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import structlog
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app.errors import StoreAway
from app.jobs.models import Worker
from app.jobs.places import unserved_note
from app.jobs.workers import Capabilities
from app.services import Services

LOOK_SECONDS = 1.0
STALE_SECONDS = 10.0
"""A last look older than this says that the database does not answer; a busy one answers in milliseconds."""

log = structlog.get_logger(__name__)


class Check(BaseModel):
    """One thing that is needed."""

    ok: bool
    detail: str


class Readiness:
    """Looks again and again, in a thread of its own from `start` to `stop`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._found: dict[str, Check] = {}
        self._everyone: list[Capabilities | None] = []
        self._found_at_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)

    def start(self) -> None:
        """Look once, and go on beside the caller."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)

    def checks(self) -> dict[str, Check]:
        """What was found last, by what is needed."""
        age_s = time.monotonic() - self._found_at_s
        if age_s > STALE_SECONDS:
            hung = Check(ok=False, detail=f"has not answered for {age_s:.0f} seconds")
            return dict.fromkeys(self._found, hung)
        return self._found

    def unserved(self, queue: str) -> str | None:
        """What to say to whoever submits to a queue that no living worker can serve. Nothing while none lives."""
        return unserved_note(self._everyone, queue) if self._everyone else None

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        wanted = CHECKS if self._services.settings.store_url is None else CHECKS | {"store": _store}
        found = {name: _try(name, check, self._services) for name, check in wanted.items()}
        self._found, self._found_at_s = found, time.monotonic()
        with suppress(SQLAlchemyError):  # the checks say so
            self._everyone = [worker.capabilities for worker in self._services.workers.live()]


def _try(name: str, check: Callable[[Services], Check], services: Services) -> Check:
    try:
        return check(services)
    except StoreAway:
        return Check(ok=False, detail="does not answer")  # its reason is in the log once, when it went away
    except Exception:
        log.exception("readiness_check_failed", check=name)
        return Check(ok=False, detail="does not answer")


def _database(services: Services) -> Check:
    services.database.check()
    return Check(ok=True, detail="answers")


def _queue(services: Services) -> Check:
    services.engine.states([("readiness", 1)])
    depth, limit = services.store.queue_depth(), services.settings.queue_limit_jobs
    return Check(ok=True, detail=f"{depth} of {limit} places taken")


def _workers(services: Services) -> Check:
    workers = services.workers.live()
    slots = sum(worker.slots for worker in workers)
    isolation = sorted({worker.isolation for worker in workers if worker.isolation})
    parts = [f"{len(workers)} live, {slots} slots"]
    parts += [f"isolation: {', '.join(isolation)}"] if isolation else []
    parts += _troubles(workers)
    parts += [f"{jobs} waiting for {takes}" for takes, jobs in sorted(services.places.unserved(workers).items())]
    return Check(ok=slots > 0, detail=", ".join(parts))


def _troubles(workers: list[Worker]) -> list[str]:
    """Devices that do not run jobs, by what they are."""
    devices = [device for worker in workers for device in (worker.capabilities or {}).get("devices", [])]
    count = Counter(f"{device['kind'].upper()} {device['state']}" for device in devices if device["state"] != "ready")
    return [f"{number} {what}" for what, number in sorted(count.items())]


def _store(services: Services) -> Check:
    services.blobs.probe()
    return Check(ok=True, detail="answers")


CHECKS = {"database": _database, "queue": _queue, "workers": _workers}

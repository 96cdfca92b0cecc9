"""A guest that is warm before its job comes: made ahead, lent once, thrown away where it does not fit.

One is kept. It lives in a folder of its own, into which a job's uploads are moved when it gets
them, and out of which its outputs are moved to the job's.
"""

from __future__ import annotations

import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import structlog

from app.locks import locked
from app.sandbox.jobfolder import IN, LOG, OUT, READY, JobFolder, discard, let_read, repaired_name
from app.sandbox.protocol import Limits, Task
from app.sandbox.warm import Ticket, WarmParent

PREFIX = "spare-"
"""How folders of guests that wait are called."""

PATIENCE_SECONDS = 10.0
"""How long the end of a killed one is waited for."""

MOST_FAILURES = 3
"""Guests that end while they wait, one after another, before no more are made: it would only cost time."""

LONGEST_LOG = 1 << 16

NO_TASK = Task(diagnosis_id="none yet", model_file="none", batch_file="none")

log = structlog.get_logger(__name__)


class Spare:
    """One guest that waits, and its folder."""

    def __init__(self, parent: WarmParent, limits: Limits, where: Path | None) -> None:
        self.parent, self._has_ended = parent, False
        self._held = ExitStack()
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
        try:
            self._held.callback(discard, path)
            self._held.enter_context(locked(path))
            (path / IN).mkdir(mode=0o700)
            self.folder = self._held.enter_context(JobFolder(path, NO_TASK))
            self.ticket: Ticket = parent.fork("diagnose", str(self.folder.path), limits, waits=True)
        except BaseException:
            self._held.close()
            raise

    @property
    def has_failed(self) -> bool:
        """Whether it is gone, or was never there."""
        while not self.ticket.news.empty():
            self._has_ended = self._has_ended or self.ticket.news.get_nowait().event != "started"
        return self._has_ended

    @property
    def is_ready(self) -> bool:
        """Whether it is warm and alive."""
        return not self.has_failed and self.ticket.pid > 0 and (self.folder.path / OUT / READY).exists()

    @contextmanager
    def given(self, job_folder: Path, task: Task) -> Iterator[None]:
        """It has the uploads of a job and its task inside; afterwards the job's folder has what it left."""
        try:
            for upload in (job_folder / IN).iterdir():
                os.rename(upload, self.folder.path / IN / upload.name)
            if os.stat(self.folder.path / OUT).st_uid != os.geteuid():  # else it reads what the service may read
                let_read(self.folder.path / IN)
            self.folder.assign(task)
        except BaseException:
            self.end()
            raise
        try:
            yield
        finally:
            for name in (OUT, repaired_name(task.model_file)):
                discard(job_folder / name)
                with suppress(FileNotFoundError):
                    os.rename(self.folder.path / name, job_folder / name)
            self._held.close()

    def last_words(self) -> str:
        """What it left in its log, for the operator."""
        return (self.folder.read(LOG, LONGEST_LOG) or b"").decode(errors="replace")[-2000:]

    def end(self) -> None:
        """Kill it and leave nothing of it."""
        if self.parent.alive and not self.has_failed:
            self.parent.kill(self.ticket)
            self._wait_for_end()
        self.parent.forget(self.ticket)
        self._held.close()

    def _wait_for_end(self) -> None:
        try:
            while self.ticket.news.get(timeout=PATIENCE_SECONDS).event == "started":
                pass
        except queue.Empty:
            self.parent.close()  # it is stuck, and its end takes every guest with it


class Spares:
    """Keeps one guest waiting, for jobs with these limits; any thread may ask. Without limits it keeps none."""

    def __init__(self, limits: Limits | None, where: Path | None) -> None:
        self._limits, self._where = limits, where
        self._lock = threading.Lock()
        self.waiting: Spare | None = None
        self._failures = 0

    def stock(self, parent: WarmParent) -> None:
        """Have one made by this parent, unless there is one. It is not waited for."""
        with self._lock:
            self._clear_unfit(parent)
            if self._limits is None or self.waiting is not None or not parent.alive or self._failures >= MOST_FAILURES:
                return
            try:
                self.waiting = Spare(parent, self._limits, self._where)
            except OSError as error:  # a full disk, too many files: jobs find out for themselves
                log.warning("spare_guest_not_made", reason=str(error))

    def take(self, parent: WarmParent, limits: Limits, job_folder: Path) -> Spare | None:
        """The guest that waits, if it is warm and fits; it is the caller's from here on."""
        with self._lock:
            self._clear_unfit(parent)
            spare = self.waiting
            if spare is None or limits != self._limits or not spare.is_ready or not _beside(spare, job_folder):
                return None
            self.waiting, self._failures = None, 0
            return spare

    def close(self) -> None:
        """End the one that waits."""
        with self._lock:
            self._limits = None
            if self.waiting is not None:
                self.waiting.end()
                self.waiting = None

    def _clear_unfit(self, parent: WarmParent) -> None:
        spare = self.waiting
        if spare is None or (spare.parent is parent and not spare.has_failed):
            return
        if spare.parent is parent:
            self._failures += 1
            log.warning("spare_guest_ended", failures=self._failures, reason=spare.last_words())
        self.waiting = None
        spare.end()


def _beside(spare: Spare, job_folder: Path) -> bool:
    """Whether files can be moved from the one folder to the other."""
    return os.stat(spare.folder.path).st_dev == os.stat(job_folder).st_dev

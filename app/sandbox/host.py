"""Outside: runs one diagnosis of a stranger's file in a process that can hurt nobody but itself.

    sandbox = Sandbox()
    sandbox.start()
    outcome = sandbox.run(job_folder, task, limits, on_progress=..., should_stop=...)

Each run forks a *guest* off the *zygote*, a process that has imported TensorFlow and run nothing, because importing
takes seconds and forking milliseconds. Whatever becomes of the guest, `run` returns an outcome; a dead zygote is
replaced by the next run.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import app
from app.locks import locked
from app.sandbox import custom, endings, spares
from app.sandbox.channel import Errand
from app.sandbox.isolation import CANARY, Findings, Level
from app.sandbox.jobfolder import LOG, REHEARSAL, JobFolder
from app.sandbox.protocol import COLD, HIDDEN, GuestDevice, Limits, Outcome, Task
from app.sandbox.settling import settle
from app.sandbox.spares import Spare, Spares
from app.sandbox.supervision import OnProgress, Supervision
from app.sandbox.warm import IsolationTooWeak, SandboxUnavailable, Ticket, WarmParent
from app.settings import GUEST_UID_BASE

__all__ = ["IsolationTooWeak", "Sandbox", "SandboxUnavailable"]

PASSED_ON = ("NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""What of the host's environment reaches a guest: what its container has of the driver, where libraries stand."""

NOWHERE = "/dev/null/nowhere"
"""A home that nobody can make, not even root, so that nothing is read from or left in one."""

REHEARSAL_PREFIX = "rehearsal-"
"""How folders of first guests are called."""

LOCKED_PREFIXES = (REHEARSAL_PREFIX, spares.PREFIX)
"""How folders of guests without a job begin: one that nobody has locked is left of a process that was killed."""

QUIET_SECONDS = 0.2
"""So long after a run no other has begun before a guest is made for the next one: where jobs wait they come at once,
and would share the processor with it.
"""

LONG_SECONDS = 1.5
"""A run that takes longer shares the processor with the guest for the next one, where there is a slot for that: a short
one would take half as long again, and is over soon.
"""

PASSABLE = 0o711
"""The mode of a folder that others may pass through to what they know to be there, and not look into."""

Start = Literal["auto", "fork", "spawn"]
COLD_UIDS = 1000
"""How far from each other the users of the guests of two zygotes lie."""

REHEARSAL_LIMITS = Limits(memory_bytes=4 << 30, wall_seconds=60, output_bytes=16 << 20, cpu_seconds=60, threads=1)


class Sandbox:
    """Runs guests, several at once, from any thread. `isolation` says what holds them, as found out at the start.

    Below the level that is required it does not start. The first of the users that guests become is `guest_uid_base`,
    0 for none, and where job folders will be is `folder`, the system's temporary folder unless told. With `spare` one
    guest is kept warm for the next job that has these limits, while fewer than `slots` run.
    """

    def __init__(
        self,
        *,
        python: str = sys.executable,
        custom_classes_modules: Sequence[str] = (),
        custom_classes_dir: Path | None = None,
        isolation_required: Level = "inner",
        guest_uid_base: int = GUEST_UID_BASE,
        folder: Path | None = None,
        guest_start: Start = "auto",
        spare: Limits | None = None,
        slots: int = 1,
    ) -> None:
        self._python = python
        self._start = guest_start
        self._required, self._guest_uid_base, self._folder = isolation_required, guest_uid_base, folder
        self._environment = _environment(custom_classes_dir) | custom.as_environment(custom_classes_modules)
        self._lock = threading.Lock()
        self._running, self._begun, self._slots = 0, 0, slots
        self._spares = Spares(None if guest_start == "spawn" else spare, folder)
        self._parents: dict[bool, WarmParent] = {}
        self._cold_devices: set[str] = set()
        self._closed = False
        self.isolation = "not started"

    def start(self) -> None:
        """Start the zygote and prove with one guest that guests run and are held; `SandboxUnavailable` otherwise."""
        self._stock(self._parent_for(None), self._begun)

    def check(self, device: GuestDevice) -> str | None:
        """Try a GPU by a small guest; None where it works, else why it does not.

        Where guests may start either way, one that cannot use it after a fork is followed by one that spawns, and so
        are all later guests on this device if that helps.
        """
        failed = _attempt(self._parent_for(device), self._folder, device)
        if failed is None or self._start != "auto" or device.visible in self._cold_devices:
            return failed
        self._cold_devices.add(device.visible)
        if (spawned := _attempt(self._parent_for(device), self._folder, device)) is not None:
            self._cold_devices.discard(device.visible)
            self._end_cold_unless_used()
            return f"{failed}; spawned: {spawned}"
        return None

    def run(
        self,
        job_folder: Path,
        task: Task,
        limits: Limits,
        *,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> Outcome:
        """Run one diagnosis to its end, however it ends."""
        parent = self._parent_for(limits.device)
        try:
            with self._busy(parent, limits), self._place(parent, job_folder, task, limits) as (folder, waiting):
                with Supervision(parent, folder, limits, waiting) as supervision:
                    end = supervision.run("diagnose", on_progress, should_stop)
                if isinstance(end, int):
                    end = settle(end, folder, limits, self.isolation, supervision.kernel_killed)
                folder.tidy()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return endings.disk_full()
        fault = limits.device is not None and end.kind == "crashed" and end.code == "worker_crashed"
        used = {"peak_memory_bytes": supervision.peak, "seconds": supervision.seconds, "device_fault": fault}
        return end.model_copy(update=used)

    @contextmanager
    def _busy(self, parent: WarmParent, limits: Limits) -> Iterator[None]:
        """Count a run. Some time after it, or while it takes long, a guest is made for the next one."""
        with self._lock:
            self._running += 1
            self._begun += 1
        meanwhile = self._stock_later(LONG_SECONDS, parent, limits)
        try:
            yield
        finally:
            meanwhile.cancel()
            with self._lock:
                self._running -= 1
            self._stock_later(QUIET_SECONDS, parent, limits)

    def _stock_later(self, seconds: float, parent: WarmParent, limits: Limits) -> threading.Timer:
        """Have a guest made unless another run begins before; on the processor only."""
        later = threading.Timer(seconds, self._stock, (parent, self._begun if limits.device is None else None))
        later.daemon = True
        later.start()
        return later

    def _stock(self, parent: WarmParent, begun: int | None) -> None:
        if begun == self._begun and self._running < self._slots:
            self._spares.stock(parent)

    @contextmanager
    def _place(
        self, parent: WarmParent, job_folder: Path, task: Task, limits: Limits
    ) -> Iterator[tuple[JobFolder, Ticket | None]]:
        """The folder in which a job is run, and the guest that waits there, if one does."""
        spare = self._spares.take(parent, limits, job_folder)
        if spare is not None:
            with spare.given(job_folder, task):
                yield spare.folder, spare.ticket
        else:
            with JobFolder(job_folder, task) as folder:
                yield folder, None

    @property
    def spare(self) -> Spare | None:
        """The guest that waits for the next job, warm or not yet."""
        return self._spares.waiting

    def close(self) -> None:
        """Kill all guests and the zygote. Runs under way end as crashed."""
        self._spares.close()
        with self._lock:
            self._closed = True
            for parent in self._parents.values():
                parent.close()

    def _parent_for(self, device: GuestDevice | None) -> WarmParent:
        """The parent of guests on this device: a warm one, or a cold one if they spawn; started where it is dead."""
        cold = self._start == "spawn" or (device is not None and device.visible in self._cold_devices)
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("the sandbox has been closed")
            if cold not in self._parents or not self._parents[cold].alive:
                self._parents[cold] = self._started(cold)
            return self._parents[cold]

    def _end_cold_unless_used(self) -> None:
        with self._lock:
            parent = None if self._cold_devices else self._parents.pop(True, None)
        if parent is not None:
            parent.close()

    def _started(self, cold: bool) -> WarmParent:
        base = self._guest_uid_base + (COLD_UIDS if cold and self._guest_uid_base else 0)
        parent = WarmParent([*self._command(), *([COLD] if cold else [])], self._environment, base)
        parent.start()
        try:
            self._try_out(parent)
        except BaseException:
            parent.close()
            raise
        return parent

    def _try_out(self, parent: WarmParent) -> None:
        findings = _rehearse(parent, self._folder)
        if findings.broken():
            raise SandboxUnavailable(f"{', '.join(findings.broken())} does not hold: a guest can {findings.escaped}")
        if (shortfall := findings.shortfall(self._required)) is not None:
            raise IsolationTooWeak(shortfall)
        parent.promised = tuple(findings.held)
        self.isolation = str(findings)

    def _command(self) -> list[str]:
        return [self._python, "-P", "-m", "app.sandbox.zygote"]


def _environment(custom_classes_dir: Path | None) -> dict[str, str]:
    """All that the zygote, and so every guest, has in its environment: nothing secret, no home, no user."""
    folders = [Path(app.__file__).parents[1], custom_classes_dir]
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders if folder is not None),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": NOWHERE,
        "KERAS_HOME": NOWHERE,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **HIDDEN,
        # One thread is a condition for forking: no pool of BLAS threads, no allocator with a thread of its own.
        "OPENBLAS_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
    }


def _attempt(parent: WarmParent, where: Path | None, device: GuestDevice) -> str | None:
    """Try a device by a guest of this parent; None where it works."""
    try:
        _rehearse(parent, where, "try_device", REHEARSAL_LIMITS.model_copy(update={"device": device}))
    except SandboxUnavailable as error:
        return str(error)
    return None


def _rehearse(
    parent: WarmParent, where: Path | None, errand: Errand = "rehearse", limits: Limits = REHEARSAL_LIMITS
) -> Findings:
    """Run a guest without an upload, where guests with one will be; what it found to hold it. Its folder is locked
    meanwhile.
    """
    task = Task(diagnosis_id="rehearsal", model_file="none", batch_file="none")
    if where is not None:
        where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=REHEARSAL_PREFIX, dir=where) as path, locked(Path(path)):
        Path(path, CANARY).write_text("No guest reads this.", encoding="utf-8")
        # As a job's folder is: the way to it is open to those who know it, its inside is not.
        os.chmod(path, PASSABLE)
        Path(path, "job").mkdir()
        with JobFolder(Path(path, "job"), task) as folder:
            with Supervision(parent, folder, limits) as supervision:
                end = supervision.run(errand, lambda *_: None, lambda: False)
            said, log = folder.read(REHEARSAL, 1 << 16), folder.read(LOG, 1 << 16) or b""
    if end != 0 or said is None:
        raise SandboxUnavailable(f"a guest without upload failed: {end!r} {log.decode(errors='replace')[-2000:]}")
    return Findings.model_validate_json(said)

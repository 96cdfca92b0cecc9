"""The warm parent: imports everything that a guest needs, runs none of it, and forks a guest for every order.

    python -m app.sandbox.zygote [--cold] CHANNEL HOST_PID

It must never run a TensorFlow operation and never have a second thread: a child forked after either hangs at its
first own operation. So it counts its threads before every fork and would rather end than fork wrongly; the host then
starts another.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from app.sandbox import custom, guest, kernel, procfs, rehearsal
from app.sandbox.channel import Channel, News, Order
from app.sandbox.protocol import BEGIN, COLD, UNCAGED
from app.sandbox.room import Room

TICK_MS = 250

Work = Callable[[Room, list[str]], None]
ERRANDS: Mapping[str, Work] = {
    "diagnose": guest.diagnose,
    "rehearse": rehearsal.rehearse,
    "try_device": rehearsal.try_device,
}

WARM = ("tensorflow", "keras", "h5py", "numpy", "scipy", "pyarrow.csv", "pyarrow.parquet", "encodings.cp437")


class NotForkableError(Exception):
    """Something started a thread here, so children would hang."""


def warm_up() -> None:
    """Import what guests will need; a guest must not pay for it, and once locked in it may not be able to."""
    for name in WARM:
        importlib.import_module(name)
    import analyzers

    for module in pkgutil.walk_packages(analyzers.__path__, "analyzers."):
        importlib.import_module(module.name)
    custom.register_named()
    # What is alive now stays alive: keep the children's collectors from touching, and so copying, every page of it.
    gc.collect()
    gc.freeze()


def _warm_up_alone() -> None:
    """What the parent has left to each of its guests."""
    try:
        warm_up()
    except BaseException:
        traceback.print_exc()
        os._exit(UNCAGED)


def check_forkable() -> None:
    """Raise unless this process has exactly one thread."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise NotForkableError(f"the zygote has {threads} threads; it must have one")


class Zygote:
    """Forks, kills and reaps guests as ordered, until the host hangs up."""

    def __init__(self, channel: Channel, errands: Mapping[str, Work], cold: bool = False) -> None:
        self._channel, self._errands, self._cold = channel, errands, cold
        self._pid = os.getpid()
        self._guests: dict[int, tuple[int, int]] = {}  # job: (pid, descriptor that becomes readable at its end)
        self._gates: dict[int, int] = {}  # job: descriptor by which a guest that waits is told to begin
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)

    def serve(self) -> None:
        """Work until the host hangs up, then leave nobody behind."""
        while True:
            ready = {
                descriptor
                for descriptor, _ in self._poll.poll(TICK_MS if self._guests.keys() - self._gates.keys() else None)
            }
            if self._channel.fileno() in ready:
                lines = self._channel.receive()
                if lines is None:
                    break
                for line in lines:
                    self._obey(Order.model_validate_json(line))
            for job, (_, watched) in list(self._guests.items()):
                if watched in ready:
                    self._reap(job)
            self._end_strays()
        for job in list(self._guests):
            self._kill(job)
            self._reap(job)
        self._end_strays()

    def _obey(self, order: Order) -> None:
        if order.op == "kill":
            self._kill(order.job)
        elif order.op == "begin":
            self._begin(order.job)
        else:
            self._fork(order)

    def _fork(self, order: Order) -> None:
        check_forkable()
        if order.limits is None:
            raise ValueError("an order to fork needs limits")
        room = Room(Path(order.folder), order.limits, self._pid, order.uid, order.promised, order.waits)
        theirs, ours = os.pipe() if order.waits else (None, None)
        try:
            pid = os.fork()
        except OSError as error:
            # The machine has no room for one more process: that costs this job only.
            self._report(News(event="failed", job=order.job, reason=str(error)))
            pid = None
        if pid == 0:
            if theirs is not None:
                os.dup2(theirs, 0)
            if self._cold:
                _warm_up_alone()
            guest.live(room, self._errands[order.errand])
        _close(theirs)
        if pid is None:
            _close(ours)
            return
        if ours is not None:
            self._gates[order.job] = ours
        watched = os.pidfd_open(pid)
        self._guests[order.job] = (pid, watched)
        self._poll.register(watched, select.POLLIN)
        self._channel.send(News(event="started", job=order.job, pid=pid))

    def _begin(self, job: int) -> None:
        """Let a guest that waits begin. Where it has ended meanwhile, its end is told as any other."""
        if (gate := self._gates.pop(job, None)) is not None:
            with contextlib.suppress(OSError):
                os.write(gate, BEGIN)
            os.close(gate)

    def _kill(self, job: int) -> None:
        """Kill a guest and its group. It is not reaped yet, so its number cannot mean another process."""
        if job in self._guests:
            pid, _ = self._guests[job]
            _kill_group(pid)
            os.kill(pid, signal.SIGKILL)

    def _reap(self, job: int) -> None:
        pid, watched = self._guests.pop(job)
        _close(self._gates.pop(job, None))
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _kill_group(pid)
        _, status = os.waitpid(pid, 0)
        self._poll.unregister(watched)
        os.close(watched)
        self._end_strays()
        self._report(News(event="ended", job=job, pid=pid, status=status))

    def _report(self, news: News) -> None:
        # Where the host is gone, the next read says so too.
        with contextlib.suppress(OSError):
            self._channel.send(news)

    def _end_strays(self) -> None:
        """End processes that were left to us by a guest: none has any business here."""
        known = {pid for pid, _ in self._guests.values()}
        while strays := [pid for pid in _children() if pid not in known]:
            for pid in strays:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _children() -> list[int]:
    me = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and procfs.parent_of(int(name)) == me]


def _kill_group(pid: int) -> None:
    # No such group where it has not got as far as leading one.
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def main(errands: Mapping[str, Work] = ERRANDS) -> NoReturn:
    """Warm up, say so, serve. Ends by itself when the host hangs up, by the kernel's hand when the host dies."""
    descriptor, host = int(sys.argv[-2]), int(sys.argv[-1])
    cold = COLD in sys.argv
    kernel.die_with(host)
    kernel.adopt_orphans()
    channel = Channel(socket.socket(fileno=descriptor))
    try:
        if not cold:
            warm_up()
        check_forkable()
        channel.send(News(event="ready"))
        Zygote(channel, errands, cold).serve()
    except BaseException:
        channel.send(News(event="failed", reason=traceback.format_exc()[-4000:]))
        os._exit(os.EX_SOFTWARE)
    os._exit(os.EX_OK)


if __name__ == "__main__":
    main()

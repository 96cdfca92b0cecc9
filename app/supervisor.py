"""`phasegap serve`: a small process that keeps a web process and a worker process running.

It does nothing that could fail: it holds the listening socket (so that connections wait while the web process restarts
and the port stays the same), starts the two, starts them again when they die, and on SIGTERM lets both finish their
handover before it exits with 0. Both die with it, so killing it leaves no orphan.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

import structlog

from app.kin import HOPELESS_CODES
from app.settings import ENV_PREFIX, Settings

WEB_ONLY = (f"{ENV_PREFIX}WEBHOOK_ENDPOINTS",)
"""Settings with secrets that a worker, which stands next to strangers' models, has no need of."""
OWN = [sys.executable, "-m", "app.cli"]
WORKER = [*OWN, "worker"]
LOOK_S = 0.05
QUICK_DEATH_S = 5.0
SHORTEST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
BIND_PATIENCE_S = 5.0
HOPELESS_STARTS = 5

log = structlog.get_logger(__name__)


@dataclass
class Child:
    """A process to keep running, and when to start it again."""

    name: str
    command: list[str]
    keep_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    not_before_s: float = 0.0
    pause_s: float = 0.0
    quick_deaths: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            pass_fds=self.keep_fds,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on in its own way
        )
        log.info("started", child=self.name, pid=self.process.pid)

    def note_death(self, code: int) -> None:
        """Plan the next start: at once where it was killed or had lived, with growing pauses where it just will not."""
        lived_s = time.monotonic() - self.started_s
        will_not = code > 0 and lived_s < QUICK_DEATH_S
        self.quick_deaths = self.quick_deaths + 1 if will_not else 0
        if code in HOPELESS_CODES:
            self.quick_deaths = HOPELESS_STARTS
        self.pause_s = min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, self.pause_s * 2)) if will_not else SHORTEST_PAUSE_S
        self.not_before_s = time.monotonic() + self.pause_s
        self.process = None
        log.warning("child_died", child=self.name, code=code, lived_s=round(lived_s, 2))


class Supervisor:
    """Keeps its children running until it is told to stop."""

    def __init__(self, settings: Settings, children: list[Child]) -> None:
        self._settings = settings
        self._children = children
        self._stopping = False

    def run(self) -> int:
        """Block until SIGTERM or SIGINT; 0 after an orderly end, 1 if a child cannot be started at all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        hopeless: Child | None = None
        while not self._stopping and hopeless is None:
            for child in self._children:
                self._tend(child)
            hopeless = next((child for child in self._children if child.quick_deaths >= HOPELESS_STARTS), None)
            time.sleep(LOOK_S)
        self._end_children()
        if hopeless is not None:
            log.error("gave_up", child=hopeless.name, deaths=hopeless.quick_deaths)
        return 0 if hopeless is None else 1

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _tend(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.not_before_s:
                child.start()
        elif (code := child.process.poll()) is not None:
            child.note_death(code)

    def _end_children(self) -> None:
        alive = [child.process for child in self._children if child.process is not None]
        for process in alive:
            process.terminate()
        deadline_s = time.monotonic() + self._settings.shutdown_seconds
        for process in alive:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("killed_at_shutdown", pid=process.pid)
                process.kill()
                process.wait()


def listen(host: str, port: int) -> socket.socket:
    """The listening socket. Waits a little for a predecessor that is just dying to let go of the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline_s = time.monotonic() + BIND_PATIENCE_S
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            listener.close()
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
        else:
            listener.listen(2048)
            return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: choose another with --port, or make serve PORT=..."
    return f"cannot listen on {host}, port {port}: {error.strerror or error}"


def serve(settings: Settings, host: str, port: int, worker_command: list[str] | None) -> int:
    """Run a web process, and a worker by `worker_command` unless that is None, until told to stop; the exit status."""
    try:
        listener = listen(host, port)
    except OSError as error:
        print(_why_not(error, host, port), file=sys.stderr, flush=True)
        return 1
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listener.getsockname()[1]}"
    print(f"PhaseGap serves on {url} (data in {settings.data_dir})", flush=True)
    passed = {name: str(getattr(settings, name)) for name in ("data_dir", "devices", "guests_per_gpu")}
    environment = os.environ | {f"{ENV_PREFIX}{name.upper()}": value for name, value in passed.items()}
    tie = ["--parent-pid", str(os.getpid())]
    web = [*OWN, "web", "--listener", str(listener.fileno()), *tie]
    children = [Child("web", web, keep_fds=(listener.fileno(),), environment=environment)]
    if worker_command is not None:
        kept = {name: value for name, value in environment.items() if name.upper() not in WEB_ONLY}
        unsecret = kept | dict.fromkeys(WEB_ONLY, "[]")  # which goes before a file of the secrets' folder
        children.append(Child("worker", [*worker_command, *tie], environment=unsecret))
    return Supervisor(settings, children).run()

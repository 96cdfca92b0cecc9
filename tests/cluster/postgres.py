"""A PostgreSQL server of its own for tests, from Debian's packages, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

NAME = "phasegap"
SETTINGS = ("-c", "max_connections=200")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest where there are several; None where it is not installed."""
    found = shutil.which("initdb")
    linked = [Path(found).resolve().parent] if found else []
    folders = [*linked, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return next((folder for folder in folders if (folder / "pg_isready").exists()), None)


class Postgres:
    """Started at once, on loopback and perhaps a further address. `kill` ends all of it by SIGKILL, `start` starts it
    again over the same files.
    """

    def __init__(self, folder: Path, bin_folder: Path, address: str = "127.0.0.1", **settings: str) -> None:
        self._bin, self._folder, self._data = bin_folder, folder, folder / "data"
        self.address = address
        listen = "127.0.0.1" if address == "127.0.0.1" else f"127.0.0.1,{address}"
        self._settings = [f"--{name}={value}" for name, value in {"listen_addresses": listen, **settings}.items()]
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to be root
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._run("initdb", "-D", self._data, "-U", NAME, "-A", "trust", "--no-sync")
        with (self._data / "pg_hba.conf").open("a") as access:
            access.write("host all all samenet trust\n")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", NAME, NAME)

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://{NAME}@{self.address}:{self.port}/{NAME}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            self._bin / "postgres",
            "-D",
            self._data,
            "-p",
            str(self.port),
            "-k",
            self._folder,
            *SETTINGS,
            *self._settings,
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._as)
        end = time.monotonic() + 60
        while self._program("pg_isready", "-U", NAME, "-h", "127.0.0.1", "-p", self.port).returncode != 0:
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9` of the server and of every process that serves a connection."""
        everyone = [self._process.pid, *(child.pid for child in psutil.Process(self._process.pid).children())]
        for pid in everyone:
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, connections or not."""
        self._process.send_signal(signal.SIGINT)  # at once; SIGTERM would wait for connections to end
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far, those that have ended too."""
        server = psutil.Process(self._process.pid)
        while True:
            children = server.children()
            try:
                own, others = server.cpu_times(), [process.cpu_times() for process in children]
            except psutil.NoSuchProcess:
                continue  # one that tidies up has ended meanwhile: it counts with those that have
            spent = own.user + own.system + own.children_user + own.children_system
            return float(spent + sum(times.user + times.system for times in others))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        import sqlalchemy as sa

        engine = sa.create_engine(self.url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(sa.text(query))]
        finally:
            engine.dispose()

    def execute(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        import sqlalchemy as sa

        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(sa.text(statement))
        finally:
            engine.dispose()

    def _run(self, program: str, *arguments: Any) -> None:
        done = self._program(program, *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')}")

    def _program(self, program: str, *arguments: Any) -> subprocess.CompletedProcess[bytes]:
        command = [str(self._bin / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, cwd=self._folder, check=False, **self._as)


def running(folder: Path, address: str = "127.0.0.1", **settings: str) -> Iterator[Postgres]:
    """For fixtures: one server that ends with the block."""
    bin_folder = programs()
    assert bin_folder is not None
    server = Postgres(folder, bin_folder, address, **settings)
    try:
        yield server
    finally:
        server.stop()

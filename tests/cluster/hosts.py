"""Hosts on one machine: each has a network, a name, process numbers and a data folder of its own, and perhaps a clock.

    bridge in the machine's own network (PostgreSQL listens on it)
      ├── host-a: network, PID and UTS namespaces; `phasegap serve`
      └── host-b: the same

A cut takes a host's cable out of the bridge: packets vanish in both directions and nobody is told, as with a switch
that died. The addresses' neighbours are fixed, so that not even a failing lookup tells. Uploads and results are in one
folder that all hosts see under their own data folder, as a shared file system; locks and scratch folders are not.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from tests.app.served import ROOT, Server

PORT = 8000
WORKER = [sys.executable, "-m", "tests.cluster.scripted_worker"]
CLOCK = Path(__file__).with_name("skewed_clock.c")
SERVE = "import socket, sys; socket.sethostname(sys.argv[1]); from app.settings import Settings; from app.logs import configure_logs; from app.supervisor import serve; s = Settings(); configure_logs(s, 'supervisor'); sys.exit(serve(s, '0.0.0.0', {port}, {worker}))"  # fmt: skip  # noqa: E501


def why_not() -> str | None:
    """Why hosts cannot be made here; None where they can."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "hosts are network namespaces: they take root, iproute2 and util-linux"
    probe = subprocess.run(["unshare", "--net", "--uts", "--pid", "--fork", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else f"no namespaces here: {probe.stderr.decode(errors='replace').strip()}"


def skewed_clock(folder: Path) -> Path:
    """The library that puts a process' clock off, compiled once for a folder."""
    library = folder / "skewed_clock.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(CLOCK)], check=True)
    return library


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """A bridge with addresses of a range that no other run of these tests uses."""

    def __init__(self) -> None:
        self._mark = f"{os.getpid() % 0xFFFF:04x}"
        self._range = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.bridge, self.address = f"pgb{self._mark}", f"{self._range}.1"
        self._hosts: list[str] = []
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")

    def plug_in(self) -> tuple[str, str, str]:
        """A new namespace on the bridge: its name, its cable's end in the bridge, its address."""
        number = len(self._hosts) + 2
        space, cable = f"pgh{self._mark}-{number}", f"pgv{self._mark}{number}"
        address = f"{self._range}.{number}"
        _ip("netns", "add", space)
        self._hosts.append(space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", cable, "master", self.bridge, "up")
        for words in (("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):  # noqa: E501  # fmt: skip
            _ip("-n", space, *words)
        own = Path(f"/sys/class/net/{self.bridge}/address").read_text().strip()
        _ip("-n", space, "neigh", "replace", self.address, "lladdr", own, "dev", "eth0", "nud", "permanent")
        shown = subprocess.run(["ip", "-n", space, "-br", "link", "show", "eth0"], capture_output=True, check=True)
        _ip("neigh", "replace", address, "lladdr", shown.stdout.decode().split()[2], "dev", self.bridge, "nud", "permanent")  # noqa: E501  # fmt: skip
        return space, cable, address

    def cut(self, cable: str) -> None:
        _ip("link", "set", cable, "nomaster")

    def mend(self, cable: str) -> None:
        _ip("link", "set", cable, "master", self.bridge)

    def close(self) -> None:
        for space in self._hosts:
            _ip("netns", "del", space)
        _ip("link", "del", self.bridge)


class Host(Server):
    """`phasegap serve` on a host of its own. `skew` is how far its clock is ahead, in seconds."""

    def __init__(self, network: Network, name: str, folder: Path, shared: Path, skew: int = 0, **settings: Any) -> None:
        self.network, self.name, self.skew = network, name, skew
        self.space, self.cable, self.address = network.plug_in()
        data_dir = folder / name
        data_dir.mkdir(mode=0o700)
        (data_dir / "blobs").symlink_to(shared)
        super().__init__(data_dir, **settings)

    def start(self) -> None:
        """Start the host's processes, the supervisor as its first."""
        environment = dict(self.environment)
        if self.skew:
            environment |= {"LD_PRELOAD": str(skewed_clock(self.data_dir.parent)), "SKEW_SECONDS": str(self.skew)}
        apart = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        code = SERVE.format(port=PORT, worker=repr(WORKER))
        command = ["ip", "netns", "exec", self.space, *apart, sys.executable, "-c", code, self.name]
        self.log: list[str] = []  # it is in a file
        self.log_path = self.data_dir.with_name(f"{self.name}.log")
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.url = f"http://{self.address}:{PORT}"
        self.client = httpx.Client(base_url=self.url, timeout=10)

    def cut(self) -> None:
        """From now on nothing arrives or leaves, and nobody is told."""
        self.network.cut(self.cable)

    def mend(self) -> None:
        self.network.mend(self.cable)

    @property
    def supervisor(self) -> psutil.Process:
        """The host's first process, as the machine numbers it."""
        return psutil.Process(self.process.pid).children()[0]

    def child(self, name: str) -> psutil.Process:
        mark = {"web": " web ", "worker": "scripted_worker"}[name]
        for process in self.supervisor.children():
            if mark in " ".join(process.cmdline()) + " ":
                return process
        raise AssertionError(f"no {name} process")

    def kill(self, name: str) -> None:
        victim = self.supervisor if name == "supervisor" else self.child(name)
        victim.send_signal(signal.SIGKILL)

    def guests(self) -> list[psutil.Process]:
        """Guests that live, and zygotes without a worker: whatever a run may have left."""
        found = []
        for process in self.supervisor.children(recursive=True):
            try:
                is_guest = "scripted_zygote" in " ".join(process.parent().cmdline())
                is_stray = "scripted_zygote" in " ".join(process.cmdline()) and process.ppid() == self.supervisor.pid
            except (psutil.NoSuchProcess, AttributeError):
                continue
            if is_guest or is_stray:
                found.append(process)
        return found

    def leftovers(self) -> list[str]:
        """Folders of runs and of uploads that are being received."""
        folders = (self.data_dir / "scratch", self.data_dir / "blobs" / "incoming")
        found = [path for folder in folders if folder.exists() for path in folder.iterdir()]
        return [str(path) for path in found if not path.name.endswith(".lock") and any(path.iterdir())]

    def stop(self) -> int:
        self.client.close()
        if self.process.poll() is None:
            self.supervisor.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-6000:]

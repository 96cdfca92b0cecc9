"""The warm parent: many guests at once and in turn, its own death, its host's death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.sandbox import procfs
from app.sandbox.host import Sandbox, SandboxUnavailable
from tests.sandbox.harness import ENTRY, HostileSandbox


def zygote_of(host: int) -> int:
    """The zygote of these tests' sandbox: other tests' sandboxes, with entries of their own, may be open too."""
    entry = str(ENTRY).encode()
    for pid in procfs.descendants(host):
        if procfs.parent_of(pid) == host and entry in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("no zygote")


def wait_for(path: Path, seconds: float = 10) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.02)
    return path.read_text()


def wait_until_gone(pid: int, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while os.path.exists(f"/proc/{pid}") and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_eight_guests_at_once(prepare):
    runs = [prepare("computes") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda run: run(), runs))
    assert [outcome.kind for outcome in outcomes] == ["succeeded"] * 8


def test_a_bomb_beside_good_guests_hurts_only_itself(prepare):
    bomb, good = prepare("grows"), prepare("computes")
    thread = bomb.in_background()
    assert good().kind == "succeeded"
    thread.join()
    assert bomb.outcome.kind == "out_of_memory"


def test_fifty_guests_in_turn_leave_no_trace(prepare):
    prepare("good")()
    zygote = zygote_of(os.getpid())

    def traces() -> tuple[int, int, int]:
        return (
            len(os.listdir("/proc/self/fd")),
            len(os.listdir(f"/proc/{zygote}/fd")),
            len(procfs.descendants(zygote)),
        )

    before = traces()
    for _ in range(50):
        assert prepare("quits")().code == "worker_crashed"
    # The zygote may be looking at /proc just now, which takes a descriptor.
    deadline = time.monotonic() + 5
    while traces() != before:
        assert time.monotonic() < deadline, (before, traces())
        time.sleep(0.05)


def test_a_killed_zygote_costs_its_guests_only(prepare):
    run = prepare("spins")
    thread = run.in_background()
    guest = int(wait_for(run.folder / "out" / "pid"))
    os.kill(zygote_of(os.getpid()), signal.SIGKILL)
    thread.join(timeout=20)
    assert (run.outcome.kind, run.outcome.code) == ("crashed", "worker_crashed")
    assert not os.path.exists(f"/proc/{guest}")
    assert prepare("good")().kind == "succeeded"


def test_a_stuck_zygote_is_replaced(prepare, monkeypatch):
    monkeypatch.setattr("app.sandbox.supervision.PATIENCE", 0.5)
    prepare("good")()
    os.kill(zygote_of(os.getpid()), signal.SIGSTOP)
    assert prepare("good")().code == "worker_crashed"
    monkeypatch.undo()
    assert prepare("good")().kind == "succeeded"


HOST = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.sandbox.harness import HostileSandbox, Run
from app.sandbox.protocol import Limits
sandbox = HostileSandbox()
sandbox.start()
limits = Limits(memory_bytes=2 << 30, wall_seconds=60, output_bytes=1 << 24, cpu_seconds=60)
Run(sandbox, Path(sys.argv[2]), "spins", limits)()
"""


def test_a_killed_host_leaves_no_orphan(tmp_path):
    folder = tmp_path / "job"
    host = subprocess.Popen([sys.executable, "-c", HOST, str(Path(__file__).parents[2]), str(folder)])
    guest = int(wait_for(folder / "out" / "pid", 120))
    zygote = zygote_of(host.pid)
    host.kill()
    host.wait()
    wait_until_gone(zygote)
    wait_until_gone(guest)


def test_a_zygote_that_cannot_start_says_why(tmp_path):
    class Broken(Sandbox):
        def _command(self) -> list[str]:
            return [self._python, "-c", "raise SystemExit('no TensorFlow here')"]

    with pytest.raises(SandboxUnavailable, match="no TensorFlow here"):
        Broken().start()


@pytest.mark.parametrize("spoil", ["threading.Thread(target=time.sleep, args=(60,)).start()", "tf.ones(3) + 1"])
def test_a_zygote_that_is_not_forkable_refuses(tmp_path, spoil):
    entry = tmp_path / "spoilt_zygote.py"
    entry.write_text(
        "import threading, time\nimport tensorflow as tf\nfrom app.sandbox import zygote\n"
        f"{spoil}\nif __name__ == '__main__':\n    zygote.main()\n"
    )

    class Spoilt(Sandbox):
        def _command(self) -> list[str]:
            return [self._python, str(entry)]

    with pytest.raises(SandboxUnavailable, match="threads; it must have one"):
        Spoilt().start()


def test_a_closed_sandbox_ends_its_guests_and_runs_nothing_more(prepare):
    run = prepare("spins")
    run.sandbox = sandbox = HostileSandbox()
    thread = run.in_background()
    guest = int(wait_for(run.folder / "out" / "pid", 60))
    zygote = procfs.parent_of(guest)
    sandbox.close()
    thread.join(timeout=10)
    assert run.outcome.code == "worker_crashed"
    wait_until_gone(guest)
    wait_until_gone(zygote)
    with pytest.raises(SandboxUnavailable, match="closed"):
        sandbox.start()

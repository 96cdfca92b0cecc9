"""Inside: what a guest does to itself, after the fork and before it looks at the upload, so that it can hurt nobody.

The cage is the boundary; that Keras refuses what looks like code only makes for clearer errors. Each step is one
function that says in a word or two what now holds, says None where this platform does not offer it, and raises where
it offers it but refused: then the guest ends. The order matters and is explained where a step depends on an earlier
one.
"""

from __future__ import annotations

import gc
import glob
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import analyzers
import app
from app.sandbox import kernel, landlock, seccomp
from app.sandbox.isolation import CALLS, FILES
from app.sandbox.jobfolder import IN, OUT, SCRATCH, TASK
from app.sandbox.protocol import Limits

THREAD_STACK = 8 << 20
OPEN_FILES = 512
NICENESS = 10

SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/cuda", "/usr/share/zoneinfo",
    "/etc/ld.so.cache", "/etc/localtime",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/driver/nvidia",
    "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/sys/bus/pci/devices", "/sys/devices/pci0000:00",
    "/sys/fs/cgroup", "/sys/module/nvidia",
)  # fmt: skip
"""Where libraries stand, and what they read to learn about the machine."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/nvidia-caps")


@dataclass(frozen=True)
class Room:
    """Where a guest lives and what it may use up. `slot` tells guests apart that live at the same time."""

    folder: Path
    limits: Limits
    parent: int
    slot: int

    @property
    def out(self) -> Path:
        """Where the host looks for what the guest has to say."""
        return self.folder / OUT

    @property
    def scratch(self) -> Path:
        """Where the guest may write what it likes."""
        return self.folder / SCRATCH


def silence(room: Room) -> str:
    """Turn the standard streams to nothing: TensorFlow's C++ code writes to them freely."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    return "no standard streams"


def drop_descriptors(room: Room) -> str:
    """Close everything that came over the fork, the channel to the host above all."""
    signal.set_wakeup_fd(-1)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return "no inherited descriptors"


def lead_group(room: Room) -> str:
    """A session and process group of its own, so that it can be killed with everything that it might start."""
    os.setsid()
    return "own process group"


def clear_environment(room: Room) -> str:
    """Keep nothing of the environment; what TensorFlow and Keras wanted of it they have read. Devices are chosen by
    it later.
    """
    for name in set(os.environ) - {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"}:
        del os.environ[name]
    return "empty environment"


def settle_in(room: Room) -> str:
    """Work in the scratch folder, with nothing readable by others; temporary files go there too."""
    os.chdir(room.scratch)
    os.umask(0o077)
    tempfile.tempdir = str(room.scratch)
    return "private scratch folder"


def be_first_to_die(room: Room) -> str | None:
    """Where the machine runs out of memory, this process is the one to kill. Before `hide`, which takes the file
    away.
    """
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError:
        return None
    return "first out of memory"


def yield_to_others(room: Room) -> str:
    """Let the service answer quickly however busy its guests are."""
    os.nice(NICENESS)
    return "low priority"


def limit_resources(room: Room) -> str:
    """Limits that the kernel keeps. The watch outside is quicker about memory and time; these hold if it fails."""
    limits = room.limits
    stacks = 4 * (os.cpu_count() or 1) * THREAD_STACK
    cpu = max(1, round(limits.cpu_seconds))
    for which, soft, hard in (
        # Address space would be the wrong measure: TensorFlow reserves far more than it uses.
        (resource.RLIMIT_DATA, limits.memory_bytes * 3 // 2 + 300_000_000 + stacks, None),
        (resource.RLIMIT_FSIZE, limits.output_bytes, None),
        (resource.RLIMIT_NOFILE, OPEN_FILES, None),
        (resource.RLIMIT_CPU, cpu, cpu + 5),
        (resource.RLIMIT_CORE, 0, None),
        (resource.RLIMIT_MEMLOCK, 0, None),
        (resource.RLIMIT_MSGQUEUE, 0, None),
    ):
        _, most = resource.getrlimit(which)
        wanted = (soft, soft if hard is None else hard)
        resource.setrlimit(which, wanted if most == resource.RLIM_INFINITY else (min(soft, most), min(wanted[1], most)))
    return "resource limits"


def die_with_zygote(room: Room) -> str:
    """End when the zygote ends. After any change of user, which would undo it."""
    kernel.die_with(room.parent)
    return "dies with its parent"


def hide(room: Room) -> str:
    """Let no other guest of the same user look into this one."""
    kernel.forbid_dumps()
    return "not traceable"


def renounce_privileges(room: Room) -> str:
    """No program started from here gains rights, and root's own go; the condition for the layers that follow."""
    kernel.forbid_new_privileges()
    if os.geteuid() == 0:
        kernel.drop_capabilities()
    return "no privileges"


def wall_in_files(room: Room) -> str | None:
    """Read the packages and the job's own uploads, write the job's own folders, open nothing else; no TCP."""
    known = landlock.restrict(
        [
            *((Path(path), landlock.READ) for path in _readable(room)),
            (room.out, landlock.WRITE),
            (room.scratch, landlock.WRITE | landlock.LINK),
            *((Path(path), landlock.DEVICE) for path in (*DEVICES, *glob.glob("/dev/nvidia*"))),
        ]
    )
    return f"{FILES} {known}" if known else None


def _readable(room: Room) -> list[str | Path]:
    packages = [Path(module.__file__).parent for module in (app, analyzers) if module.__file__]
    packages += [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    return [sys.prefix, sys.base_prefix, *packages, room.folder / IN, room.folder / TASK, *SYSTEM]


def wall_in_calls(room: Room) -> str | None:
    """Start no process or program, open no socket, touch no other process. Last, because the steps above use such
    calls.
    """
    return CALLS if seccomp.restrict() else None


Step = Callable[[Room], str | None]

STEPS: tuple[Step, ...] = (
    silence,
    drop_descriptors,
    lead_group,
    clear_environment,
    settle_in,
    be_first_to_die,
    yield_to_others,
    limit_resources,
    die_with_zygote,
    hide,
    renounce_privileges,
    wall_in_files,
    wall_in_calls,
)


def lock_in(room: Room) -> list[str]:
    """Take every step; what holds now, in words. Nothing of the upload has been touched until this returns."""
    gc.enable()
    return [held for step in STEPS if (held := step(room)) is not None]

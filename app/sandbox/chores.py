"""Steps of a guest's that need no privilege and are no walls: leaving what came over the fork, limits, manners."""

from __future__ import annotations

import os
import resource
import signal
import tempfile
from pathlib import Path

from app.sandbox import kernel
from app.sandbox.room import Room

THREAD_STACK = 8 << 20
OPEN_FILES = 512
NICENESS = 10


def silence(room: Room) -> str:
    """Turn the standard streams to nothing: TensorFlow's C++ code writes to them freely. Who waits keeps its input."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (1, 2) if room.waits else (0, 1, 2):
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
    """Keep nothing of the environment; what TensorFlow and Keras wanted of it they have read. Devices are hidden by
    it until one is chosen.
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
    """No program started from here gains rights, and all that are held go; the condition for the layers that follow."""
    kernel.forbid_new_privileges()
    kernel.drop_capabilities()
    return "no privileges"

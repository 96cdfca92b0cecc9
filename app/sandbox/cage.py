"""Inside: what a guest does to itself, after the fork and before it looks at the upload, so that it can hurt nobody.

The cage is the boundary; that Keras refuses what looks like code only makes for clearer errors. Each step is one
function that says in a word or two what now holds, says None where this platform does not offer it, and raises where
it offers it but refused: then the guest ends. The order matters: what needs a privilege comes before the privileges
go, and what uses a call comes before the call is forbidden.
"""

from __future__ import annotations

import gc
import glob
import os
from collections.abc import Callable
from pathlib import Path

from app.sandbox import chores, identity, landlock, seccomp, view
from app.sandbox.isolation import CALLS, FILES, VIEW
from app.sandbox.room import Room, packages

__all__ = ["STEPS", "Room", "lock_in"]

SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/cuda", "/usr/share/zoneinfo",
    "/etc/ld.so.cache", "/etc/localtime",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/driver/nvidia",
    "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/sys/bus/pci/devices", "/sys/devices/pci0000:00",
    "/sys/fs/cgroup", "/sys/module/nvidia",
)  # fmt: skip
"""Where libraries stand, and what they read to learn about the machine."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/nvidia-caps")

DRIVER = "/dev/nvidiactl"
"""There is a GPU that NVIDIA's driver serves where this is."""


def _readable() -> list[Path]:
    return [*packages(), *(Path(path) for path in SYSTEM)]


def _devices() -> list[Path]:
    return [Path(path) for path in (*DEVICES, *glob.glob("/dev/nvidia*"))]


def own_view(room: Room) -> str | None:
    """No other path than those that are needed, all but the guest's two folders read-only."""
    return VIEW if view.enter(room, _readable(), _devices()) else None


def wall_in_files(room: Room) -> str | None:
    """Read the packages and the job's own uploads, write the job's own folders, open nothing else; no TCP."""
    known = landlock.restrict(
        [
            *((path, landlock.READ) for path in (*_readable(), room.uploads, room.task)),
            (room.out, landlock.WRITE),
            (room.scratch, landlock.WRITE | landlock.LINK),
            *((path, landlock.DEVICE) for path in _devices()),
        ]
    )
    return f"{FILES} {known}" if known else None


def wall_in_calls(room: Room) -> str | None:
    """Make the calls that a diagnosis makes and no others. Last, because the steps above do."""
    return CALLS if seccomp.restrict(gpu=os.path.exists(DRIVER)) else None


Step = Callable[[Room], str | None]

STEPS: tuple[Step, ...] = (
    chores.silence,
    chores.drop_descriptors,
    chores.lead_group,
    chores.clear_environment,
    # Before the view, in which /proc cannot be written to.
    chores.be_first_to_die,
    chores.limit_resources,
    identity.hand_over,
    identity.own_network,
    identity.own_ipc,
    own_view,
    # After all that only root may do, and inside the view, which opens the way to what this user could not reach.
    identity.own_user,
    identity.limit_processes,
    # Not sooner: a guest that waits for its walls on a busy machine does nobody a favour.
    chores.yield_to_others,
    chores.settle_in,
    # After the change of user, which would undo both.
    chores.die_with_zygote,
    chores.hide,
    chores.renounce_privileges,
    wall_in_files,
    wall_in_calls,
)


def lock_in(room: Room) -> list[str]:
    """Take every step; what holds now, in words. Nothing of the upload has been touched until this returns.

    Raises where less holds than the first guest had: what was reported of this sandbox must be true of every guest.
    """
    gc.enable()
    held = [words for step in STEPS if (words := step(room)) is not None]
    if lost := set(room.promised) - set(held):
        raise PermissionError(f"not held this time: {', '.join(sorted(lost))}")
    return held

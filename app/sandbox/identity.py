"""Steps for which the service must be root, or hold the capabilities: a user, a network and an IPC of the guest's own.

Where it does not, each says None and nothing has changed: the walls that need no privilege stand by themselves.
"""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

from app.sandbox import kernel
from app.sandbox.isolation import NETWORK, USER
from app.sandbox.jobfolder import let_read
from app.sandbox.protocol import MOST_THREADS
from app.sandbox.room import Room, packages

NEEDED = (kernel.CHOWN, kernel.DAC_OVERRIDE, kernel.FOWNER, kernel.KILL, kernel.SETGID, kernel.SETUID)
"""To hand the folder over, to become somebody else; for the host, to read, remove and kill what is not its own."""


def hand_over(room: Room) -> str | None:
    """Give the guest's user its folders and let its group read the uploads. Before the view makes them read-only."""
    if room.uid == 0 or not kernel.may(*NEEDED):
        return None
    try:
        os.chown(room.out, room.uid, room.uid)
    except OSError:
        # No such user in this container's range, or a volume that keeps no owners.
        return None
    os.chown(room.scratch, room.uid, room.uid)
    for path, mode in ((room.folder, 0o750), (room.uploads, 0o750), (room.task, 0o640)):
        if path.exists():
            os.chown(path, -1, room.uid)
            os.chmod(path, mode)
    let_read(room.uploads)
    return None


def own_network(room: Room) -> str | None:
    """A network without any interface that is up, not even to this machine itself."""
    return NETWORK if kernel.unshare(kernel.NETWORK) else None


def own_ipc(room: Room) -> str | None:
    """Queues, semaphores, shared memory and a host name that nobody else has."""
    return "own IPC" if kernel.unshare(kernel.IPC) and kernel.unshare(kernel.HOST_NAME) else None


def own_user(room: Room) -> str | None:
    """Become a user that owns nothing but its two folders, without a way back and without any capability.

    Where the way to what it needs is closed to other users and no view was made for it, it stays who it is.
    """
    if room.uid == 0 or os.stat(room.out).st_uid != room.uid or os.geteuid() == room.uid:
        return None
    if not all(_open_to_others(path) for path in (room.folder.parent, *packages())):
        for folder in (room.out, room.scratch):
            os.chown(folder, os.geteuid(), os.getegid())
        return None
    os.setgroups([])
    os.setresgid(room.uid, room.uid, room.uid)
    os.setresuid(room.uid, room.uid, room.uid)
    if kernel.may(kernel.SETUID):
        raise PermissionError("capabilities outlived the change of user")
    return USER


def _open_to_others(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def limit_processes(room: Room) -> str | None:
    """As many threads as the watch lets pass, twice over, so that it can say what happened. Counted by user: only
    where the user is the guest's own.
    """
    if os.getuid() != room.uid:
        return None
    resource.setrlimit(resource.RLIMIT_NPROC, (2 * MOST_THREADS, 2 * MOST_THREADS))
    return "bounded threads"

"""The few Linux calls that Python's standard library lacks, by ctypes. No policy here."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_CAPABILITY_VERSION_3 = 0x20080522
CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SYS_ADMIN = 0, 1, 3, 5, 6, 7, 21
"""Capabilities by their numbers."""

MOUNTS, HOST_NAME, IPC, NETWORK = 0x00020000, 0x04000000, 0x08000000, 0x40000000
"""Namespaces by their flags."""

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *arguments: int) -> None:
    """Call prctl(2); `OSError` where the kernel refuses."""
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *padded) != 0:
        raise _last_error("prctl")


def syscall(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char]) -> int:
    """Call a system call by number, bytes being passed as a string; `OSError` where the kernel refuses."""
    converted = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        raise _last_error(f"system call {number}")
    return result


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the parent's forking thread ends; end at once where it already has."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(os.EX_UNAVAILABLE)


def forbid_dumps() -> None:
    """Let no process of the same user trace this one or read its memory."""
    prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Make set-user-id programs and file capabilities powerless from here on."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def may(*capabilities: int) -> bool:
    """Whether this process has all of these capabilities now."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    found = ctypes.create_string_buffer(24)
    if _libc.capget(header, found) != 0:
        raise _last_error("capget")
    low, _, _, high, _, _ = struct.unpack("6I", found.raw)
    return all((low | high << 32) >> number & 1 for number in capabilities)


def unshare(namespace: int) -> bool:
    """Move this process into a new namespace of a kind; False where the platform does not let it."""
    if _libc.unshare(ctypes.c_int(namespace)) == 0:
        return True
    # No right to, no such kind in this kernel, or as many as this machine wants to have.
    if ctypes.get_errno() in (errno.EPERM, errno.EINVAL, errno.ENOSPC, errno.ENOSYS):
        return False
    raise _last_error("unshare")


def drop_capabilities() -> None:
    """Give up what root may do beyond other users, for good. What root owns stays its own."""
    for number in range(64):
        try:
            prctl(_PR_CAPBSET_DROP, number)
        except OSError:
            break
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)
    if _libc.capset(header, nothing) != 0:
        raise _last_error("capset")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)

"""The calls of Linux that take a piece of the file system and put it somewhere else. No policy here.

Pieces are taken by `open_tree`, which makes a copy of a mount that stands nowhere yet, made harmless by
`mount_setattr` and placed by `move_mount`: mount(2) would need two calls and a moment in between in which a piece is
writable. See mount_setattr(2); Linux 5.12.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path

from app.sandbox import kernel

READ_ONLY, NO_SET_USER, NO_DEVICES, NO_PROGRAMS = 1, 2, 4, 8
"""What may be taken from a mount; its writing, its set-user-id programs, its device nodes, code that is run from it."""

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_HERE = -100
_EMPTY_PATH, _RECURSIVE, _CLONE, _FROM_EMPTY_PATH = 0x1000, 0x8000, 1, 4
_PRIVATE = 1 << 18
_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def offered() -> bool:
    """Whether this kernel is known well enough to try."""
    return platform.machine() in _PIVOT_ROOT


def keep_private() -> None:
    """Let nothing that is mounted from here on be seen outside of this process's namespace. `OSError` if refused."""
    _set(_HERE, b"/", _RECURSIVE, 0, propagation=_PRIVATE)


def take(path: Path, without: int) -> int:
    """A descriptor of a copy of what stands at a path, with what is mounted below it, `without` what is named."""
    tree = kernel.syscall(_OPEN_TREE, _HERE, os.fsencode(path), _CLONE | os.O_CLOEXEC | _RECURSIVE)
    _set(tree, b"", _EMPTY_PATH | _RECURSIVE, without)
    return tree


def place(tree: int, at: Path) -> None:
    """Put a piece that was taken over an existing file or folder."""
    kernel.syscall(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(at), _FROM_EMPTY_PATH)
    os.close(tree)


def place_empty(at: Path) -> None:
    """Put an empty file system in memory over a folder."""
    if _libc.mount(b"none", os.fsencode(at), b"tmpfs", ctypes.c_ulong(0), b"mode=755,size=1m") != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}")


def move_into(root: Path) -> None:
    """Make a mount the root of all paths, read-only, and let go of everything else."""
    os.chdir(root)
    kernel.syscall(_PIVOT_ROOT[platform.machine()], b".", b".")
    if _libc.umount2(b".", _DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"umount: {os.strerror(number)}")
    os.chdir("/")
    _set(_HERE, b"/", 0, READ_ONLY | NO_SET_USER | NO_DEVICES | NO_PROGRAMS)


def _set(tree: int, path: bytes, flags: int, without: int, propagation: int = 0) -> None:
    attributes = struct.pack("=4Q", without, 0, propagation, 0)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    kernel.syscall(_MOUNT_SETATTR, tree, path, flags, buffer, len(attributes))

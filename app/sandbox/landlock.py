"""Landlock: the kernel's own list of what this process may still open. Needs no privilege, and holds for root too.

What it can do depends on the kernel; all that this kernel's version knows is asked for. See landlock(7).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from app.sandbox import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in (1, 2, 3, 4, 5))
_MAKE_DIR, _MAKE_FILE, _MAKE_LINK, _REFER, _TRUNCATE, _IOCTL = (1 << bit for bit in (7, 8, 12, 13, 14, 15))

READ = _READ_FILE | _READ_DIR
"""Read files and list folders. Not execute: loading a library does not need it."""

WRITE = READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _REFER
"""Work with plain files and folders. No links, pipes, sockets or devices."""

LINK = _MAKE_LINK
"""Make symbolic links. They lead nowhere that is not allowed anyway, but whoever reads them from outside may follow."""

DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL
"""Use a device node."""

_FILE_RIGHTS = _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL


def version() -> int:
    """The kernel's Landlock version, 0 where it has none."""
    try:
        return kernel.syscall(_CREATE, 0, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(rules: Iterable[tuple[Path, int]]) -> int:
    """From here on, open only what the rules allow; no TCP, no signals or abstract sockets to the outside.

    Paths that do not exist are passed over. Returns the version in force, 0 where the kernel has none.
    """
    known = version()
    if known == 0:
        return 0
    handled = _every_file_right(known)
    ruleset = kernel.syscall(_CREATE, *_attributes(known, handled), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        kernel.syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return known


def _every_file_right(known: int) -> int:
    bits = 13 + (known >= 2) + (known >= 3) + (known >= 5)
    return (1 << bits) - 1


def _attributes(known: int, handled: int) -> tuple[ctypes.Array[ctypes.c_char], int]:
    """The ruleset's description, as long as this kernel knows it: files, then TCP (4), then scopes (6)."""
    tcp, scopes = 0b11, 0b11
    fields = [handled] + [tcp] * (known >= 4) + [scopes] * (known >= 6)
    packed = struct.pack(f"={len(fields)}Q", *fields)
    return ctypes.create_string_buffer(packed, len(packed)), len(packed)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, descriptor)
        kernel.syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(descriptor)

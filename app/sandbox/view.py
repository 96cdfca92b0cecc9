"""A file system of the guest's own: of all paths only those that it needs, at their places, and nothing else at all.

Landlock forbids to open other paths; here they are not there, so that neither names nor sizes nor owners can be
learned. What is in it stands where it stood, so that nobody has to be told other names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from app.sandbox import kernel, mounts
from app.sandbox.mounts import NO_DEVICES, NO_PROGRAMS, NO_SET_USER, READ_ONLY
from app.sandbox.room import Room

HARMLESS = NO_SET_USER | NO_DEVICES

Pieces = dict[Path, int]
"""A descriptor of what is to stand at each path."""


def enter(room: Room, readable: Iterable[Path], devices: Iterable[Path]) -> bool:
    """Change into a view of the job's folder, the readable paths and the devices; False where it is not offered."""
    if not mounts.offered() or not kernel.unshare(kernel.MOUNTS):
        return False
    pieces: Pieces = {}
    try:
        # Refused by a kernel before 5.12, or by a container that grants the namespace and denies the mounts.
        mounts.keep_private()
        _take(pieces, room, readable, devices)
        # Anywhere would do: nobody else sees it, and all that is needed has been taken already.
        mounts.place_empty(room.scratch)
    except OSError:
        for piece in pieces.values():
            os.close(piece)
        return False
    for path in sorted(pieces):
        _place(pieces[path], path, room.scratch, pieces)
    mounts.move_into(room.scratch)
    return True


def _take(pieces: Pieces, room: Room, readable: Iterable[Path], devices: Iterable[Path]) -> None:
    for path in _outermost(readable):
        pieces[path] = mounts.take(path, HARMLESS | READ_ONLY)
    for path in devices:
        # A name that no device has, or not any more.
        with contextlib.suppress(FileNotFoundError):
            pieces[path] = mounts.take(path, NO_SET_USER | NO_PROGRAMS | READ_ONLY)
    pieces[room.folder] = mounts.take(room.folder, HARMLESS | NO_PROGRAMS | READ_ONLY)
    for path in (room.out, room.scratch):
        pieces[path] = mounts.take(path, HARMLESS | NO_PROGRAMS)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths that exist, without those that lie inside another: they come with it."""
    present = {path for path in paths if path.exists()}
    return [path for path in present if not present & set(path.parents)]


def _place(piece: int, path: Path, root: Path, pieces: Pieces) -> None:
    at = root / path.relative_to("/")
    # What lies inside another piece is there already, and nothing may be made in one: it is not ours.
    if not pieces.keys() & set(path.parents):
        at.parent.mkdir(parents=True, exist_ok=True)
        at.mkdir() if os.path.isdir(piece) else at.touch()
    mounts.place(piece, at)

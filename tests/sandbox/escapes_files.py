"""What a guest may try on files. Each attempt returns normally only where it succeeded."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from app.sandbox.room import Room

LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def read_another_upload(room: Room) -> None:
    (room.folder.parent / "canary").read_text()


def read_a_password_file(room: Room) -> None:
    Path("/etc/passwd").read_text()


def list_the_home_of_all_jobs(room: Room) -> None:
    os.listdir(room.folder.parent)


def write_beside_the_job(room: Room) -> None:
    (room.folder.parent / "new").write_text("x")


def change_the_upload(room: Room) -> None:
    (room.folder / "in" / "model.keras").write_bytes(b"x")


def change_the_task(room: Room) -> None:
    (room.folder / "task.json").write_text("x")


def write_to_tmp(room: Room) -> None:
    Path("/tmp/phasegap-escape").write_text("x")


def write_to_shared_memory(room: Room) -> None:
    Path("/dev/shm/phasegap-escape").write_text("x")


def write_into_the_packages(room: Room) -> None:
    Path(os.__file__).with_name("phasegap_escape.py").write_text("x")


def make_a_link(room: Room) -> None:
    os.symlink("/etc/passwd", room.out / "link")


def make_a_hard_link(room: Room) -> None:
    os.link(room.folder.parent / "canary", room.out / "link")


def make_a_pipe(room: Room) -> None:
    os.mkfifo(room.out / "pipe")


def make_a_device(room: Room) -> None:
    os.mknod(room.scratch / "disk", 0o060600, os.makedev(8, 0))


def read_the_upload_of_a_neighbour(room: Room) -> None:
    (room.folder.parent / "neighbour" / "in" / "model.keras").read_bytes()


def own_what_is_outside(room: Room) -> None:
    os.chown(room.folder.parent / "canary", os.getuid(), -1)


def open_what_is_outside_to_all(room: Room) -> None:
    os.chmod(room.folder.parent / "canary", 0o666)


def mark_what_is_outside(room: Room) -> None:
    os.setxattr(room.folder.parent / "canary", "user.marked", b"x")


def date_what_is_outside(room: Room) -> None:
    os.utime(room.folder.parent / "canary", (0, 0))


def cut_what_is_outside(room: Room) -> None:
    os.truncate(room.folder.parent / "canary", 0)


def watch_what_is_outside(room: Room) -> None:
    descriptor = LIBC.inotify_init1(0)
    _checked(descriptor)
    _checked(LIBC.inotify_add_watch(descriptor, os.fsencode(room.folder.parent), 0x100))


def open_the_upload_to_all(room: Room) -> None:
    os.chmod(room.folder / "in" / "model.keras", 0o666)

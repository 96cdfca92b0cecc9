"""What a guest may try that a diagnosis never does. Each attempt returns normally only where it succeeded."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from pathlib import Path

from app.sandbox.cage import Room

LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def read_another_upload(room: Room) -> None:
    (room.folder.parent / "canary").read_text()


def read_a_password_file(room: Room) -> None:
    Path("/etc/passwd").read_text()


def list_the_home_of_all_jobs(room: Room) -> None:
    os.listdir(room.folder.parent)


def read_the_parents_environment(room: Room) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def read_the_parents_memory(room: Room) -> None:
    open(f"/proc/{os.getppid()}/mem", "rb").close()


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


def open_a_tcp_socket(room: Room) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def open_a_udp_socket(room: Room) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def open_a_unix_socket(room: Room) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def open_a_netlink_socket(room: Room) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)


def make_a_socket_pair(room: Room) -> None:
    socket.socketpair()


def fork(room: Room) -> None:
    if os.fork() == 0:
        os._exit(0)


def spawn(room: Room) -> None:
    os.posix_spawn("/bin/true", ["true"], {})


def signal_the_parent(room: Room) -> None:
    os.kill(os.getppid(), 0)


def signal_everybody(room: Room) -> None:
    os.kill(-1, signal.SIGCONT)


def hold_the_parent(room: Room) -> None:
    os.pidfd_open(os.getppid())


def limit_the_parent(room: Room) -> None:
    import resource

    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)


def outlive_the_parent(room: Room) -> None:
    _checked(LIBC.prctl(1, 0, 0, 0, 0))


def be_traceable(room: Room) -> None:
    _checked(LIBC.prctl(4, 1, 0, 0, 0))


def leave_the_group(room: Room) -> None:
    os.setsid()


def hide_memory(room: Room) -> None:
    os.memfd_create("hoard")


def hide_shared_memory(room: Room) -> None:
    _checked(LIBC.shmget(0, 1 << 20, 0o1600))


def raise_a_limit(room: Room) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def become_somebody_else(room: Room) -> None:
    os.setuid(1)


ATTEMPTS = {
    name: attempt
    for name, attempt in list(globals().items())
    if getattr(attempt, "__module__", "") == __name__ and not name.startswith("_")
}


def successes(room: Room) -> list[str]:
    """The attempts that came through."""
    through = []
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(room)
        except (OSError, ValueError):
            continue
        through.append(name)
    return through

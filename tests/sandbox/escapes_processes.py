"""What a guest may try on processes, the network and itself. Each attempt returns normally only where it succeeded."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import signal
import socket
import termios
from pathlib import Path

from app.sandbox.room import Room

LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _number(x86_64: int, aarch64: int) -> tuple[int]:
    """To be unpacked before a call's arguments."""
    return (x86_64 if platform.machine() == "x86_64" else aarch64,)


def read_the_parents_environment(room: Room) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def read_the_parents_memory(room: Room) -> None:
    open(f"/proc/{os.getppid()}/mem", "rb").close()


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


def list_processes(room: Room) -> None:
    os.listdir("/proc")


def read_the_first_process(room: Room) -> None:
    Path("/proc/1/cmdline").read_bytes()


def signal_by_descriptor(room: Room) -> None:
    reading, _ = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())


def signal_by_thread(room: Room) -> None:
    _checked(LIBC.syscall(*_number(200, 130), os.getppid(), 0))


def bind_an_abstract_socket(room: Room) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind("\0phasegap-escape")


def open_a_message_queue(room: Room) -> None:
    _checked(LIBC.syscall(*_number(240, 180), b"phasegap-escape", os.O_CREAT | os.O_RDWR, 0o600, None))


def open_a_queue(room: Room) -> None:
    _checked(LIBC.msgget(0, 0o1600))


def map_memory_that_is_nobodys(room: Room) -> None:
    _checked(LIBC.syscall(*_number(447, 447), 0))


def clone_into_a_new_user_namespace(room: Room) -> None:
    if _checked(LIBC.syscall(*_number(56, 220), 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)) == 0:
        os._exit(0)


def clone_a_thread_into_new_mounts(room: Room) -> None:
    _checked(LIBC.syscall(*_number(56, 220), 0x00020000 | 0x10000 | 0x900, 0, 0, 0, 0))


def vfork(room: Room) -> None:
    if _checked(LIBC.syscall(*_number(56, 220), 0x4000 | signal.SIGCHLD, 0, 0, 0, 0)) == 0:
        os._exit(0)


def fork_again_and_again(room: Room) -> None:
    for _ in range(1000):
        try:
            fork(room)
        except OSError:
            continue
        return
    raise PermissionError


def type_for_the_user(room: Room) -> None:
    try:
        fcntl.ioctl(0, termios.TIOCSTI, b"x")
    except OSError as error:
        # Anything else would come from the device, and a device might say yes.
        if error.errno == errno.EPERM:
            raise


def be_root(room: Room) -> None:
    os.setresuid(0, 0, 0)


def be_in_another_group(room: Room) -> None:
    os.setgroups([0])


def yield_less(room: Room) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, -20)


def slow_the_parent(room: Room) -> None:
    os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))


def filter_calls_anew(room: Room) -> None:
    _checked(LIBC.prctl(22, 2, 0, 0, 0))

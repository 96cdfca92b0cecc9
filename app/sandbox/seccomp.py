"""Seccomp: system calls that a diagnosis never makes and an attacker would like to. Needs no privilege.

Three answers: *kill* for what no library tries by accident, *refuse* (the call fails with EPERM) for what one may try
and do without, and for calls that aim at a process, *refuse* unless it is the caller itself. Everything else stays
allowed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from app.sandbox import kernel

# Numbers on x86_64 and aarch64; None where the architecture has no such call.
_Numbers = dict[str, tuple[int | None, int | None]]

KILLED: _Numbers = {
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "bpf": (321, 280), "io_uring_setup": (425, 425), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432), "mount_setattr": (442, 442),
    "setns": (308, 268), "unshare": (272, 97), "kexec_load": (246, 104), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "open_by_handle_at": (304, 265), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip
REFUSED: _Numbers = {
    "fork": (57, None), "vfork": (58, None),
    "socket": (41, 198), "socketpair": (53, 199),
    # Memory that belongs to no process, so that nobody's limit counts it.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180),
    "mknod": (133, None), "mknodat": (259, 33), "personality": (135, 92), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "setpriority": (141, 140), "ioprio_set": (251, 30),
}  # fmt: skip
ONLY_ON_ITSELF: _Numbers = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "prlimit64": (302, 261),
}  # fmt: skip
# By thread number, which the filter cannot tell from another process's: `tgkill` does the same.
REFUSED["tkill"] = (200, 130)
CLONE, CLONE3, PRCTL = (56, 220), (435, 435), (157, 167)

_CLONE_THREAD = 0x10000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 1, 4, 22
_FILTER_MODE = 2
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

# Offsets into what the filter sees, and the machine's few instructions.
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE, _NO_SUCH_CALL = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def restrict() -> bool:
    """Put the filter on this process for good; False where this architecture is not known here."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    column, architecture = _ARCHITECTURES[platform.machine()]
    code = b"".join(_program(column, architecture, os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    kernel.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(header))
    return True


def _program(column: int, architecture: int, me: int) -> list[bytes]:
    program = [
        _step(_LOAD, _AT_ARCHITECTURE),
        *_when(_IF_EQUAL, architecture, [], otherwise=[_step(_RETURN, _KILL)]),
        _step(_LOAD, _AT_NUMBER),
    ]
    if column == 0:
        # The same calls again under other numbers, which the rules below would miss.
        program += _when(_IF_AT_LEAST, _X32, [_step(_RETURN, _KILL)])
    for table, answer in ((KILLED, _KILL), (REFUSED, _REFUSE)):
        for numbers in table.values():
            program += _for_call(numbers[column], [_step(_RETURN, answer)])
    # C libraries fall back to `clone`, whose flags a filter can see.
    program += _for_call(CLONE3[column], [_step(_RETURN, _NO_SUCH_CALL)])
    threads_only = _when(_IF_BITS, _CLONE_THREAD, [_step(_RETURN, _ALLOW)])
    program += _for_call(CLONE[column], _on_first_argument(threads_only))
    for numbers in ONLY_ON_ITSELF.values():
        program += _for_call(numbers[column], _on_first_argument(_one_of(0, me)))
    kept = [_when(_IF_EQUAL, option, [_step(_RETURN, _REFUSE)]) for option in (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE)]
    program += _for_call(PRCTL[column], [_step(_LOAD, _AT_FIRST_ARGUMENT), *kept[0], *kept[1], _step(_RETURN, _ALLOW)])
    return [*program, _step(_RETURN, _ALLOW)]


def _on_first_argument(tests: list[bytes]) -> list[bytes]:
    """Tests of the first argument; what passes none is refused."""
    return [_step(_LOAD, _AT_FIRST_ARGUMENT), *tests, _step(_RETURN, _REFUSE)]


def _one_of(*values: int) -> list[bytes]:
    return [step for value in values for step in _when(_IF_EQUAL, value, [_step(_RETURN, _ALLOW)])]


def _for_call(number: int | None, steps: list[bytes]) -> list[bytes]:
    return [] if number is None else _when(_IF_EQUAL, number, steps)


def _when(test: int, value: int, steps: list[bytes], otherwise: list[bytes] | None = None) -> list[bytes]:
    """Steps for when the test of what was loaded holds, or for when it does not."""
    if otherwise is not None:
        return [_step(test, value, len(otherwise), 0), *otherwise]
    return [_step(test, value, 0, len(steps)), *steps]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)

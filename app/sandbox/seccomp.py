"""Seccomp: of all system calls only those that a diagnosis makes. Needs no privilege.

Three answers to all others: *kill* for what no library tries by accident; *no such call* for what is newer than our
list, so that libraries fall back on what is older; *refuse* (the call fails with EPERM) for the rest. Which call gets
which stands in `calls`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

from app.sandbox import calls, kernel

_PR_SET_SECCOMP = 22
_FILTER_MODE = 2
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

# Offsets into what the filter sees (of an argument its lower half, which is all that the kernel reads of these), and
# the machine's few instructions.
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST, _AT_SECOND = 0, 4, 16, 24
_LOAD, _MASK, _IF_EQUAL, _IF_ABOVE, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE, _NO_SUCH_CALL = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def restrict(*, gpu: bool) -> bool:
    """Put the filter on this process for good; False where this architecture is not known here.

    With `gpu`, the requests of NVIDIA's driver pass. They reach its device nodes alone: Landlock lets no other node be
    opened that knows them.
    """
    if platform.machine() not in _ARCHITECTURES:
        return False
    column, architecture = _ARCHITECTURES[platform.machine()]
    code = b"".join(_program(column, architecture, os.getpid(), gpu))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    kernel.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(header))
    return True


def _program(column: int, architecture: int, me: int, gpu: bool) -> list[bytes]:
    program = [
        _step(_LOAD, _AT_ARCHITECTURE),
        *_when(_IF_EQUAL, architecture, [], otherwise=[_answer(_KILL)]),
        _step(_LOAD, _AT_NUMBER),
    ]
    if column == 0:
        # The same calls again under other numbers, which the rules below would miss.
        program += _when(_IF_AT_LEAST, _X32, [_answer(_KILL)])
    for table, answer in ((calls.KILLED, _KILL), (calls.ALLOWED, _ALLOW)):
        for numbers in table.values():
            program += _for_call(numbers[column], [_answer(answer)])
    # C libraries fall back to `clone`, whose flags a filter can see.
    program += _for_call(calls.CLONE3[column], [_answer(_NO_SUCH_CALL)])
    for number, tests in _by_argument(column, me, gpu):
        program += _for_call(number, [*tests, _answer(_REFUSE)])
    return [*program, *_when(_IF_ABOVE, calls.LAST_KNOWN, [_answer(_NO_SUCH_CALL)]), _answer(_REFUSE)]


def _by_argument(column: int, me: int, gpu: bool) -> Iterable[tuple[int | None, list[bytes]]]:
    """Calls of which an argument decides, and the tests of it that let one pass."""
    for numbers in calls.ONLY_ON_ITSELF.values():
        yield numbers[column], [_step(_LOAD, _AT_FIRST), *_one_of((0, me))]
    threads = [
        *_when(_IF_BITS, calls.NAMESPACES, [_answer(_REFUSE)]),
        *_when(_IF_BITS, calls.THREAD, [_answer(_ALLOW)]),
    ]
    yield calls.CLONE[column], [_step(_LOAD, _AT_FIRST), *threads]
    yield calls.PRCTL[column], [_step(_LOAD, _AT_FIRST), *_one_of(calls.PRCTL_ALLOWED)]
    yield calls.FCNTL[column], [_step(_LOAD, _AT_SECOND), *_one_of(calls.FCNTL_ALLOWED)]
    requests = [_step(_LOAD, _AT_SECOND), *_one_of(calls.IOCTL_ALLOWED)]
    yield calls.IOCTL[column], [*requests, *_of_nvidia()] if gpu else requests


def _of_nvidia() -> list[bytes]:
    below = [_step(_IF_AT_LEAST, calls.UNIFIED_MEMORY_BELOW, 1, 0), _answer(_ALLOW)]
    lettered = [_step(_MASK, calls.IOCTL_BITS), *_one_of((calls.IOCTL_OF_NVIDIA,))]
    return [*_one_of(calls.IOCTL_OF_UNIFIED_MEMORY), *below, *lettered]


def _one_of(values: Iterable[int]) -> list[bytes]:
    return [step for value in values for step in _when(_IF_EQUAL, value, [_answer(_ALLOW)])]


def _for_call(number: int | None, steps: list[bytes]) -> list[bytes]:
    return [] if number is None else _when(_IF_EQUAL, number, steps)


def _when(test: int, value: int, steps: list[bytes], otherwise: list[bytes] | None = None) -> list[bytes]:
    """Steps for when the test of what was loaded holds, or for when it does not."""
    if otherwise is not None:
        return [_step(test, value, len(otherwise), 0), *otherwise]
    return [_step(test, value, 0, len(steps)), *steps]


def _answer(answer: int) -> bytes:
    return _step(_RETURN, answer)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)

"""What /proc tells the host about a running guest. Whoever has ended meanwhile uses nothing."""

from __future__ import annotations

import os
from pathlib import Path

_COUNTED = (b"RssAnon:", b"RssShmem:", b"VmSwap:")


def threads(pid: int) -> int:
    """How many threads it has."""
    return _figure(pid, (b"Threads:",))


def memory(pid: int) -> int:
    """Bytes of anonymous and shared memory, swapped out or not. Mapped files are the kernel's to drop and do not
    count.
    """
    return _figure(pid, _COUNTED) << 10


def _figure(pid: int, names: tuple[bytes, ...]) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))


def descendants(pid: int) -> list[int]:
    """Processes that stem from this one and still have it as an ancestor."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(parent_of(int(name)), []).append(int(name))
    found, waiting = [], [pid]
    while waiting:
        inner = children.get(waiting.pop(), [])
        found += inner
        waiting += inner
    return found


def parent_of(pid: int) -> int:
    """The process's parent, or 0."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    # The name in parentheses may hold anything, parentheses included.
    return int(stat[stat.rindex(b")") + 2 :].split()[1])


def kernel_oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since it started, or 0 where it does not tell."""
    try:
        for line in Path("/proc/vmstat").read_bytes().splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0

"""Ties between parent and child processes: a child dies with its parent, however that dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
EXIT_NOT_ISOLATED = 5
"""A worker's exit status where this machine cannot hold guests as required."""
EXIT_NO_DEVICE = 6
"""A worker's exit status where a device that it is to use is not here."""
HOPELESS_CODES = (EXIT_NOT_ISOLATED, EXIT_NO_DEVICE)
"""Statuses that starting a worker again would not change."""


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent ends; leave at once if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)

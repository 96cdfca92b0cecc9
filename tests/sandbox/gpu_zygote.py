"""A zygote without TensorFlow whose guests play with a GPU: they say what they were given, or go wrong on it.

A GPU called `cold` can be used by guests that spawn and by no others; one called `broken` by none.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from app.sandbox import guest, rehearsal, zygote
from app.sandbox.device import DeviceUnusable
from app.sandbox.isolation import Findings
from app.sandbox.jobfolder import REHEARSAL, TASK
from app.sandbox.protocol import Task
from app.sandbox.room import Room, leave
from tests.sandbox.reports import a_report

COLD = zygote.COLD in sys.argv


class ResourceExhaustedError(Exception):
    """As TensorFlow calls it."""


def try_device(room: Room, held: list[str]) -> None:
    device = room.limits.device
    assert device is not None
    if "broken" in device.visible or ("cold" in device.visible and not COLD):
        raise DeviceUnusable("it was initialized before the fork")
    leave(room, REHEARSAL, Findings(held=held, escaped=[]).model_dump_json())


def act(room: Room, held: list[str]) -> None:
    wanted = Task.model_validate_json((room.folder / TASK).read_bytes()).loss
    if wanted == "fault":
        raise RuntimeError("INTERNAL: failed to synchronize: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access")
    if wanted == "no memory":
        raise ResourceExhaustedError("CUDA_ERROR_OUT_OF_MEMORY: OOM when allocating tensor with shape[1024,1024]")
    if wanted == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    progress = guest.Progress(room)
    device = room.limits.device
    given = {"parent": os.environ.get("CUDA_VISIBLE_DEVICES"), "cold": COLD, "given": device and device.visible}
    progress("load", 0.5, json.dumps(given))
    guest.leave_report(room, a_report("d-1"))


if __name__ == "__main__":
    zygote.warm_up = lambda: None
    rehearsal._compute = lambda room: None
    zygote.main({"diagnose": act, "rehearse": rehearsal.rehearse, "try_device": try_device})

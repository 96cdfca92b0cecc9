"""What becomes of a GPU that went wrong under a guest: it is tried out by a small guest of its own before the next job.

It comes back where that works. Where it does not, time after time, the GPU is withdrawn: shown as that with the
reason, given no jobs, and looked at again from time to time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from app.sandbox.protocol import GuestDevice
from app.worker.devices import Device, list_gpus
from app.worker.slots import Slots

SHOWN = 200
PAUSES_SECONDS = (0.0, 1.0, 5.0)
"""Before each try: a driver that resets a device after a fault needs a moment."""

log = structlog.get_logger(__name__)


def _in_short(reason: str) -> str:
    """What is shown of a reason: its last line, without the name of an exception; all of it stands in the log."""
    last = (reason.strip().splitlines() or [""])[-1]
    return re.sub(r"^[\w.]+: ", "", last)[:SHOWN]


class TriesDevices(Protocol):
    """What is needed of the sandbox here."""

    def check(self, device: GuestDevice) -> str | None: ...


def guest_device(device: Device) -> GuestDevice | None:
    """What a guest is told of its device; None keeps it to the processor."""
    return GuestDevice(visible=device.uuid, memory_bytes=device.share_bytes or None) if device.is_gpu else None


class DeviceCare:
    """Looks after the devices of one worker."""

    def __init__(self, slots: Slots, sandbox: TriesDevices, recheck_seconds: float) -> None:
        self._slots, self._sandbox = slots, sandbox
        self._recheck_seconds = recheck_seconds
        self._tell: Callable[[], None] = lambda: None
        self._looking = {device.name: threading.Lock() for device in slots.devices}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._recheck, name="device-care", daemon=True)

    def first_look(self) -> None:
        """Try every GPU once before the first job."""
        for device in self._gpus():
            self._look(device, PAUSES_SECONDS[:1])

    def start(self, tell: Callable[[], None]) -> None:
        """Look at withdrawn devices again from time to time, until `stop`. `tell` is called when what the worker can do
        may have changed.
        """
        self._tell = tell
        if self._gpus():
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def doubt(self, device: Device) -> None:
        """A guest went wrong on this device: no job until it has been tried. Whoever comes second need not wait."""
        if not device.is_gpu or self._slots.state_of(device)[0] != "ready":
            return
        self._slots.mark(device, "checking", "a guest went wrong on it")
        log.warning("device_in_doubt", device=device.name)
        self._tell()
        self._look(device, PAUSES_SECONDS)
        self._tell()

    def _look(self, device: Device, pauses: tuple[float, ...]) -> None:
        with self._looking[device.name]:
            reason: str | None = "not tried"
            for pause_s in pauses:
                if self._stop.wait(pause_s):
                    return
                reason = self._try(device)
                if reason is None:
                    break
        if reason is None:
            self._slots.mark(device, "ready")
            log.info("device_works", device=device.name)
        else:
            self._slots.mark(device, "withdrawn", _in_short(reason))
            log.error("device_withdrawn", device=device.name, reason=reason[:2000])

    def _try(self, device: Device) -> str | None:
        if device.uuid not in {gpu.uuid for gpu in list_gpus()}:
            return "nvidia-smi does not list it any more"
        wanted = guest_device(device)
        assert wanted is not None
        try:
            return self._sandbox.check(wanted)
        except Exception as error:  # whatever it is, this device runs nothing now
            return f"it could not be tried: {error}"

    def _recheck(self) -> None:
        while not self._stop.wait(self._recheck_seconds):
            withdrawn = [device for device in self._gpus() if self._slots.state_of(device)[0] == "withdrawn"]
            for device in withdrawn:
                self._look(device, PAUSES_SECONDS[:1])
            if withdrawn:
                self._tell()

    def _gpus(self) -> list[Device]:
        return [device for device in self._slots.devices if device.is_gpu]

"""What there is to run guests on: the processor, and the GPUs that NVIDIA's own program lists.

Nothing here touches a device: no library of CUDA is loaded outside of a guest. What `nvidia-smi` says is taken for
what there is; whether it works is for a guest to try.
"""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

LISTING = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
LISTING_SECONDS = 30.0
"""The program loads the driver where nothing holds it open, which takes seconds on a machine with eight GPUs."""
MIB = 1 << 20
AUTO = "auto"
VISIBLE = "CUDA_VISIBLE_DEVICES"

log = structlog.get_logger(__name__)


class DeviceMissing(Exception):  # noqa: N818 - says a state, not a slip
    """What the operator named is not here; the message says what is."""


@dataclass(frozen=True)
class Device:
    """One thing that guests run on, and how many at a time. `share_bytes`: memory of a GPU that each may have."""

    name: str
    shares: int
    uuid: str = ""
    model: str = ""
    memory_bytes: int = 0
    share_bytes: int = 0

    @property
    def is_gpu(self) -> bool:
        return bool(self.uuid)


@dataclass(frozen=True)
class Listed:
    """One GPU as the listing has it."""

    index: int
    uuid: str
    model: str
    memory_bytes: int


def list_gpus(environment: Mapping[str, str] = os.environ) -> list[Listed]:
    """The GPUs of this machine, as far as the environment shows them to this process; none where there is no driver."""
    try:
        said = subprocess.run(LISTING, capture_output=True, text=True, timeout=LISTING_SECONDS, check=True).stdout
    except FileNotFoundError:
        return []
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("gpu_listing_failed", reason=str(error)[:500])
        return []
    rows = [[cell.strip() for cell in row] for row in csv.reader(said.splitlines())]
    gpus = [_listed(row) for row in rows if len(row) == 4 and row[0].isdigit()]
    return [gpu for gpu in gpus if _is_shown(gpu, environment.get(VISIBLE))]


def _listed(row: list[str]) -> Listed:
    """A GPU without a figure of its memory, as some that share the machine's, gets no bound."""
    return Listed(int(row[0]), row[1], row[2], int(row[3]) * MIB if row[3].isdigit() else 0)


def _is_shown(gpu: Listed, visible: str | None) -> bool:
    if visible is None:
        return True
    names = [name.strip() for name in visible.split(",")]
    return any(name == str(gpu.index) or (len(name) > 4 and gpu.uuid.startswith(name)) for name in names)


def processor(slots: int) -> Device:
    """The processor, for so many jobs at a time."""
    return Device("cpu", slots)


def choose(wanted: str, slots: int, guests_per_gpu: int, memory_fraction: float) -> list[Device]:
    """The devices that the setting means.

    Raises:
        DeviceMissing: it names a GPU that is not here.
    """
    cpu = processor(slots)
    if wanted == "cpu":
        return [cpu]
    listed = {gpu.index: gpu for gpu in list_gpus()}
    gpu_part = wanted.removeprefix("cpu+")
    named = [int(number) for number in gpu_part.removeprefix("gpu:").split(",")] if ":" in gpu_part else sorted(listed)
    missing = [number for number in named if number not in listed]
    if missing or (not named and wanted != AUTO):
        here = ", ".join(map(str, sorted(listed))) or "none"
        lacking = f"GPU {', '.join(map(str, missing))}" if missing else "a GPU"
        raise DeviceMissing(f"PHASEGAP_DEVICES={wanted} wants {lacking}; nvidia-smi lists {here} for this process.")
    gpus = [_shared(listed[number], guests_per_gpu, memory_fraction) for number in dict.fromkeys(named)]
    return [*([cpu] if wanted.startswith("cpu+") or not gpus else []), *gpus]


def _shared(gpu: Listed, guests: int, fraction: float) -> Device:
    share = int(gpu.memory_bytes * fraction / guests)
    return Device(f"gpu:{gpu.index}", guests, gpu.uuid, gpu.model, gpu.memory_bytes, share)

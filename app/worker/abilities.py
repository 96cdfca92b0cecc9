"""What a worker says of itself in its row: devices and how they are, memory of a guest, formats, Keras 2."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from app.jobs.needs import ALL_PLACES, BATCH_SUFFIXES, MODEL_SUFFIXES, serves
from app.settings import Settings
from app.worker.slots import Slots


def abilities(settings: Settings, slots: Slots) -> dict[str, Any]:
    """As `needs.serves` reads it, and `GET /workers` shows it."""
    return {
        "devices": slots.described(),
        "memory_per_guest_bytes": settings.guest_memory_limit_bytes,
        "keras2": find_spec("tf_keras") is not None,  # found and not imported
        "model_formats": list(MODEL_SUFFIXES),
        "batch_formats": list(BATCH_SUFFIXES),
    }


def queues_for(settings: Settings, slots: Slots) -> list[str]:
    """The queues that this worker listens to while it lives. A GPU that is withdrawn now may be back later."""
    hoped = abilities(settings, slots)
    hoped["devices"] = [device | {"state": "ready"} for device in hoped["devices"]]
    return [place.queue for place in ALL_PLACES if serves(hoped, place)]

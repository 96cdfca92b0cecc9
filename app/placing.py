"""Settings of where jobs run and who comes first: devices, how guests share them, shares and priorities of keys."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

HIGHEST_PRIORITY = 9
DEVICES = re.compile(r"auto|cpu|gpu|(?:cpu\+)?gpu:\d+(?:,\d+)*|cpu\+gpu")


class PlacingSettings(BaseSettings):
    """A part of the settings of the service."""

    devices: str = Field(
        "auto",
        description="What a worker runs guests on: cpu, gpu (all), gpu:0,1, both as cpu+gpu:0; auto: the GPUs that "
        "nvidia-smi lists, and where none of them works the processor.",
    )
    slots: int = Field(
        1, ge=1, description="Jobs that one worker runs on the processor at a time; TensorFlow uses all cores for one."
    )
    guests_per_gpu: int = Field(
        1, ge=1, le=64, description="Jobs that run on one GPU at a time, each with an equal share of its memory."
    )
    gpu_memory_fraction: float = Field(
        0.85,
        gt=0,
        le=1,
        description="How much of a GPU's memory all of its guests may have together; CUDA itself takes some for each.",
    )
    guest_start: Literal["auto", "fork", "spawn"] = Field(
        "auto",
        description="How a guest comes to its libraries. fork: it inherits them. spawn: it loads them itself, some "
        "seconds later. auto: fork, but spawn on GPUs that cannot be used after a fork.",
    )
    guest_spare: bool = Field(
        True,
        description="Keep one guest of the processor warm ahead of its job, in its cage, while a slot is free: small "
        "models are answered sooner, for some 75 MiB of memory.",
    )
    device_recheck_seconds: float = Field(
        300.0, gt=0, description="How often a GPU that was withdrawn is looked at again; it comes back where it works."
    )
    key_concurrency_limit: int = Field(
        0, ge=0, description="Jobs of one API key that may run at a time; the others wait. 0: as many as there is room."
    )
    key_queue_fraction: float = Field(
        0.5,
        gt=0,
        le=1,
        description="How much of the queue's places the waiting jobs of one API key may take; beyond: 503. The rest is "
        "for others: taking turns is of no use to whoever is not let in.",
    )
    key_priority: int = Field(
        5,
        ge=0,
        le=HIGHEST_PRIORITY,
        description="The highest priority that a submission may ask for, and the one it has if it asks for none: 9 "
        "goes before 8. Also of who sends no key.",
    )

    @field_validator("devices")
    @classmethod
    def _are_devices(cls, value: str) -> str:
        text = value.replace(" ", "").lower()
        if not DEVICES.fullmatch(text):
            raise ValueError("it must be auto, cpu, gpu, gpu:0,1 (numbers as nvidia-smi lists them) or cpu+gpu:0")
        return text

"""A header of nested brackets, which Python's parser answers with the end of the process in old versions."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import npy_with

ATTACK = Attack("crash the parser by a deep header", "batch_unreadable", LIBRARY, ("damaged",), "batch")

DEPTH = 9_000


def make(canaries: Canaries) -> Upload:
    return Upload(batch=npy_with("(" * DEPTH + ")" * 5), batch_name="batch.npy")

"""A directory of thousands of arrays."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import zipped

ATTACK = Attack("cost time by thousands of members", "batch_unreadable", NOTHING, ("2000 members",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=zipped((f"x_{i}.npy", b"") for i in range(2_000)))

"""Numbers that no type of an array holds."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload

ATTACK = Attack("overflow by 2**200", "batch_unreadable", NOTHING, ("too large",), "batch")


def make(canaries: Canaries) -> Upload:
    return Upload(batch=b'{"x": [[%d, 1, 1, 1]]}' % 2**200, batch_name="batch.json")

"""Thousands of empty members: listing them takes long, and each may cost a file."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import with_members

ATTACK = Attack("cost time by thousands of members", "model_unsafe", NOTHING, ("2103 members",))


def make(canaries: Canaries) -> Upload:
    return Upload(with_members(*((f"assets/{i}", b"") for i in range(2_100))))

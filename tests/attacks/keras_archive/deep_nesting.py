"""Models within models within models, deeper than any parser's stack."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import members, plain, zipped

ATTACK = Attack("exhaust the stack by nesting", "model_unsafe", LIBRARY, ("levels deep",))

DEPTH = 20_000


def make(canaries: Canaries) -> Upload:
    deep = '{"class_name": "Sequential", "config": {"layers": [' * DEPTH + "]}}" * DEPTH
    return Upload(zipped({**members(plain()), "config.json": deep.encode()}.items()))

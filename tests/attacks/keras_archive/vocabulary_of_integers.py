"""The same through IntegerLookup."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack("read a file as the numbers of IntegerLookup", "model_unsafe", FILES, ("`sneak`",), breaches=True)


def make(canaries: Canaries) -> Upload:
    return Upload(with_layer("IntegerLookup", {"vocabulary": str(canaries.numbers), "dtype": "int64"}, of="int64"))

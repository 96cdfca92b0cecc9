"""The same through StringLookup."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack("read a file as the words of StringLookup", "model_unsafe", FILES, ("`sneak`",), breaches=True)


def make(canaries: Canaries) -> Upload:
    return Upload(with_layer("StringLookup", {"vocabulary": str(canaries.text), "dtype": "string"}, of="string"))

"""More layers than Keras builds in an hour."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import TIME, Attack, Upload
from tests.attacks.making import edited

ATTACK = Attack("have 13,000 layers built", "model_unsafe", TIME, ("objects",))


def make(canaries: Canaries) -> Upload:
    def change(config: dict[str, object]) -> None:
        layers = config["config"]["layers"]
        like = {key: value for key, value in layers[1].items() if key != "build_config"}
        for i in range(13_000):
            layers.append({**like, "config": {**like["config"], "name": f"d{i}"}})

    return Upload(edited(change))

"""A graph whose second half never came."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import archive_of, calling, members, zipped

ATTACK = Attack("break the parser by half a graph", "model_unreadable", LIBRARY, ("Send it again",), "saved_model")


def make(canaries: Canaries) -> Upload:
    parts = members(archive_of(calling(lambda x: x)))
    graph = parts["saved_model.pb"]
    return Upload(zipped({**parts, "saved_model.pb": graph[: len(graph) // 2]}.items()), "model.zip")

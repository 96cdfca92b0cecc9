"""A layer that unpickles a PyTorch module (CVE-2025-49655)."""

from __future__ import annotations

import base64
import pickle

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import Pickled, with_layer

ATTACK = Attack("unpickle a PyTorch module", "model_unsafe", LIBRARY, ("`sneak`", "PyTorch"))


def make(canaries: Canaries) -> Upload:
    module = base64.b64encode(pickle.dumps(Pickled(canaries))).decode()
    return Upload(with_layer("TorchModuleWrapper", {"module": module}))

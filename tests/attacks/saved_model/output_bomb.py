"""An answer of a gigabyte for every sample."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import archive_of, both_phases

ATTACK = Attack("return a gigabyte a sample", "out_of_memory", MEMORY, ("fewer samples",), "saved_model")


def make(canaries: Canaries) -> Upload:
    return Upload(archive_of(both_phases(lambda x: tf.tile(x, [1, 1 << 26]))), "model.zip")

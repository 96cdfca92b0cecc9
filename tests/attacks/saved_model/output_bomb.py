"""An answer of 32 MiB for every sample."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import archive_of, both_phases

ATTACK = Attack("return a gigabyte for 32 samples", "out_of_memory", MEMORY, ("fewer samples",), "saved_model")


def make(canaries: Canaries) -> Upload:
    return Upload(archive_of(both_phases(lambda x: tf.tile(x, [1, 1 << 21]))), "model.zip")

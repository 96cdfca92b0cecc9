"""An operation that returns a file's content."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import archive_of, calling

ATTACK = Attack("return a file of the machine", "model_unsafe", FILES, ("`ReadFile`",), "saved_model", breaches=True)


def make(canaries: Canaries) -> Upload:
    return Upload(archive_of(calling(lambda x: tf.io.read_file(str(canaries.text)))), "model.zip")

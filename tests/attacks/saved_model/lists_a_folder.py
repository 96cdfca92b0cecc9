"""An operation that returns the names of files."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import NOTHING, Attack, Upload
from tests.attacks.making import archive_of, calling

ATTACK = Attack("list a folder of the machine", "model_unsafe", NOTHING, ("`MatchingFiles`",), "saved_model")


def make(canaries: Canaries) -> Upload:
    return Upload(archive_of(calling(lambda x: tf.io.matching_files(f"{canaries.folder}/*"))), "model.zip")

"""Keras' walk over a model that it loads or saves, without what it forgets to remember.

For every layer it asks which attributes are no weights, which is what any new layer has, too. Keras 3.15 makes a layer
to find out, remembers that under one name and looks for it under another (`saving_lib.get_attr_skipset`): half of the
time of walking a large model.
"""

from __future__ import annotations

from keras.src.backend.common import global_state
from keras.src.saving import saving_lib

KINDS = ("Layer", "Functional", "Sequential", "Operation")
LOOKED_FOR = "saving_attr_skiplist_{}"


def remember_attributes() -> None:
    """Have each kind found out once in this process, or since Keras' state was cleared; without effect where Keras does
    so itself.
    """
    for kind in KINDS:
        if global_state.get_global_attribute(LOOKED_FOR.format(kind)) is None:
            global_state.set_global_attribute(LOOKED_FOR.format(kind), saving_lib.get_attr_skipset(kind))

"""What Keras finds out about its layers while it walks a model, it finds out once."""

from __future__ import annotations

import keras
import pytest
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib

from analyzers.subjects.walking import KINDS, LOOKED_FOR, remember_attributes


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_remembered_is_what_keras_finds(kind):
    for name in KINDS:
        global_state.set_global_attribute(LOOKED_FOR.format(name), None)
    found = saving_lib.get_attr_skipset(kind)
    remember_attributes()
    first = saving_lib.get_attr_skipset(kind)
    assert first == found
    assert saving_lib.get_attr_skipset(kind) is first


def test_a_model_is_saved_without_a_layer_made_for_each_of_its_own(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(3) for _ in range(5))])
    remember_attributes()
    made = []
    plain = keras.layers.Layer.__init__
    monkeypatch.setattr(
        keras.layers.Layer, "__init__", lambda self, *a, **k: (made.append(self), plain(self, *a, **k))[1]
    )
    model.save_weights(tmp_path / "m.weights.h5")
    assert made == []
    model.load_weights(tmp_path / "m.weights.h5")
    assert made == []

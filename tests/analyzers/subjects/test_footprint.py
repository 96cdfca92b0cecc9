"""Weights and outputs are counted before they are made, in both families of Keras, and the layer is named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import pytest
import tf_keras
from model_files import edited_archive, functional, mixed_precision

from analyzers.errors import OutOfMemory
from analyzers.subjects import load_model
from analyzers.subjects.footprint import check_outputs, weighed
from analyzers.wording import size

L = keras.layers
TERABYTES = 1_000_000_000


def _wide(config: dict[str, Any]) -> None:
    config["config"]["layers"][1]["config"]["units"] = TERABYTES
    config["config"]["layers"][1].pop("build_config")


def test_terabytes_are_refused_at_once_and_by_name(plain: Path) -> None:
    path = edited_archive(plain, _wide)
    began = time.perf_counter()
    with pytest.raises(OutOfMemory, match=r"Layer `dense\w*` takes 16 GB .*may use 4 GB in all") as caught:
        load_model(path, memory_bytes=4 * 10**9)
    assert time.perf_counter() - began < 5  # TensorFlow would wait ten seconds before it gave up
    assert str(plain.parent) not in str(caught.value)


@pytest.mark.parametrize("family", [keras, tf_keras])
def test_weights_are_added_up_and_the_classes_left_as_they_were(family: Any) -> None:
    plain = family.layers.Layer.add_weight
    kernel_and_bias = family.layers.Dense(20, name="both")
    with pytest.raises(OutOfMemory, match=r"`both` takes .* of shape \(20,\)"), weighed(4 * 110):
        kernel_and_bias.build((None, 5))
    assert family.layers.Layer.add_weight is plain
    with weighed(4 * 200):
        family.layers.Dense(20, use_bias=False).build((None, 5))
        family.layers.Dense(20, use_bias=False).build((None, 5))


def test_half_precision_counts_half() -> None:
    with weighed(2 * 100):
        L.Dense(20, use_bias=False, dtype="float16").build((None, 5))
    with pytest.raises(OutOfMemory), weighed(2 * 100):
        L.Dense(20, use_bias=False, dtype="float32").build((None, 5))


def test_an_error_of_keras_itself_stays_what_it_was() -> None:
    with pytest.raises(ZeroDivisionError), weighed(1 << 20):
        raise ZeroDivisionError


def blown_up(family: Any) -> Any:
    inner = family.Sequential([
        family.layers.Input((2, 2, 1)), family.layers.UpSampling2D((500, 500), name="blow_up")
    ])  # fmt: skip
    inputs = family.layers.Input((2, 2, 1))
    return family.Model(inputs, family.layers.GlobalAveragePooling2D()(inner(inputs)))


@pytest.mark.parametrize("family", [keras, tf_keras])
def test_outputs_are_held_against_the_limit_for_one_batch(family: Any) -> None:
    model = blown_up(family)  # 1000 x 1000 values of 4 bytes: 4 MB a sample
    check_outputs(model, 10, 41_000_000)
    with pytest.raises(OutOfMemory, match=r"44 MB for a batch of 11"):
        check_outputs(model, 11, 41_000_000)


def test_what_has_no_shape_is_passed_over() -> None:
    for model in (functional(), mixed_precision(), keras.Sequential([keras.Input((None, 3)), L.Dense(2)]), object()):
        check_outputs(model, 32, 1_000_000)


@pytest.mark.parametrize(("count", "said"), [(512_000_000, "512 MB"), (32 * 10**9, "32 GB"), (10**18, "1,000,000 TB")])
def test_sizes_are_said_as_people_say_them(count: int, said: str) -> None:
    assert size(count) == said

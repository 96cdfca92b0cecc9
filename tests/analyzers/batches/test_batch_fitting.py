"""A batch held against a model: order, shapes with a guess at the slip, types, values, lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzers.batches import Batch, RawBatch, TensorSpec, fit_batch, raw_from_arrays
from analyzers.batches.guess import fits, guess_slip
from analyzers.errors import BatchMismatch, BatchTooSmall, BatchUnreadable

IMAGE = TensorSpec("image", (None, 224, 224, 3), "float32")
TABLE = TensorSpec("table", (None, 4), "float32")
TOKENS = TensorSpec("tokens", (None, 6), "int32")
HEAD = TensorSpec("head", (None, 3), "float32")


def fit(x: object, y: object = None, inputs: tuple[TensorSpec, ...] = (TABLE,), weight: object = None) -> Batch:
    return fit_batch(raw_from_arrays(x, y, weight), inputs, (HEAD,))


def refusal(x: object, y: object = None, inputs: tuple[TensorSpec, ...] = (TABLE,), weight: object = None) -> str:
    with pytest.raises(BatchMismatch) as caught:
        fit(x, y, inputs, weight)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "given_shape", "slip"),
    [
        ((None, 224, 224, 3), (8, 3, 224, 224), "it looks channels-first"),
        ((None, None, None, 3), (8, 3, 224, 224), "it looks channels-first"),
        ((None, 3, 32, 32), (8, 32, 32, 3), "it looks channels-last"),
        ((None, 20, 30, 1), (8, 30, 20, 1), "transposed"),
        ((None, 10, 4), (8, 4, 10), "np.moveaxis(x, 1, -1)"),
        ((None, 224, 224, 3), (224, 224, 3), "without the batch axis"),
        ((None, 4), (4,), "without the batch axis"),
        ((None, 28, 28, 1), (8, 28, 28), "x[..., np.newaxis]"),
        ((None, 28, 28, 3), (8, 28, 28), "grey"),
        ((None, 28, 28, 1), (8, 784), "flattened: x.reshape((-1, 28, 28, 1))"),
        ((None, 784), (8, 28, 28), "x.reshape(len(x), -1)"),
        ((None, 32, 32, 3), (32, 32, 3, 8), "samples seem to be on the last axis"),
        ((None, 4), (8, 1, 4), "np.squeeze(x, axis=1)"),
        ((None, 32, 32, 3), (8, 32, 32, 4), "RGBA"),
        ((None, 32, 32, 3), (8, 32, 32, 1), "look grey, and the model wants RGB"),
        ((None, 224, 224, 3), (8, 64, 64, 3), "resize"),
        ((None, 30), (8, 31), "one column more"),
        ((None, 30), (8, 28), "2 columns fewer"),
        ((None, 30), (8, 4, 4, 2), None),
    ],
)
def test_slips_are_guessed(wanted: tuple[int | None, ...], given_shape: tuple[int, ...], slip: str | None) -> None:
    guessed = guess_slip(wanted, given_shape)
    assert (guessed is None) if slip is None else (guessed is not None and slip in guessed)


def test_the_detail_names_both_shapes() -> None:
    text = refusal(np.zeros((8, 3, 224, 224)), inputs=(IMAGE,))
    assert text.startswith(
        "input `image` wants (None, 224, 224, 3), the batch has (8, 3, 224, 224): it looks channels-first"
    )


@given(
    wanted=st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=1, max_size=5),
    given_shape=st.lists(st.integers(0, 4), min_size=0, max_size=5),
)
def test_guessing_never_fails(wanted: list[int | None], given_shape: list[int]) -> None:
    if not fits(tuple(wanted), tuple(given_shape)):
        assert guess_slip(tuple(wanted), tuple(given_shape)) is None or isinstance(
            guess_slip(tuple(wanted), tuple(given_shape)), str
        )


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_numbers_become_the_models_type(dtype: str) -> None:
    batch = fit(np.ones((5, 4), dtype=dtype), np.arange(5))
    assert batch.x[0].dtype == np.float32
    assert batch.samples == 5
    assert batch.input_names == ["table"]
    assert batch.output_names == ["head"]


def test_an_array_of_the_right_type_is_not_copied() -> None:
    x = np.ones((5, 4), dtype="float32")
    assert fit(x).x[0] is x


@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        (np.full((2, 4), "a"), "holds text"),
        (np.ones((2, 4), dtype=complex), "complex"),
        (np.array([[object()] * 4] * 2), "Python objects"),
        (np.zeros((2, 4), dtype="datetime64[s]"), "dates"),
        (np.zeros((2, 4), dtype=[("a", "f4")]), "records"),
        (np.full((2, 4), 1e300), "not finite"),
        (np.float64(3.0), "single number"),
    ],
)
def test_values_that_no_model_reads(x: object, complaint: str) -> None:
    assert complaint in refusal(x)


@given(sample=st.integers(0, 4), feature=st.integers(0, 3), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_values_that_are_not_finite_are_counted_and_placed(sample: int, feature: int, value: float) -> None:
    x = np.zeros((5, 4))
    x[sample, feature] = value
    text = refusal(x)
    assert "input `table`" in text
    assert f"1 {'NaN' if np.isnan(value) else 'infinite'} of 20, the first at index ({sample}, {feature})" in text


def test_nan_in_the_labels() -> None:
    assert "the labels of output `head` has values" in refusal(np.ones((2, 4)), np.array([0.0, np.nan]))


def test_whole_numbers_for_tokens() -> None:
    assert fit(np.ones((2, 6)), inputs=(TOKENS,)).x[0].dtype == np.int32
    assert "0.5 at index (0, 0)" in refusal(np.full((2, 6), 0.5), inputs=(TOKENS,))
    assert "wants int32" in refusal(np.full((2, 6), 1 << 40), inputs=(TOKENS,))


def test_text_for_text() -> None:
    words = TensorSpec("words", (None, 1), "string")
    assert fit(np.array([["a"], ["b"]]), inputs=(words,)).x[0].dtype.kind == "U"
    assert "wants text" in refusal(np.ones((2, 1)), inputs=(words,))


@pytest.mark.parametrize("x", [np.zeros((0, 4)), np.zeros((0,)), []])
def test_no_samples(x: object) -> None:
    with pytest.raises(BatchTooSmall):
        fit(x)


def test_several_inputs_by_name_by_index_and_in_order() -> None:
    table, tokens = np.ones((3, 4)), np.ones((3, 6), dtype=int)
    for x in ({"tokens": tokens, "table": table}, [table, tokens], (table, tokens), {"1": tokens, "table": table}):
        batch = fit(x, inputs=(TABLE, TOKENS))
        assert [array.shape for array in batch.x] == [(3, 4), (3, 6)]


def test_missing_and_unknown_inputs_are_listed() -> None:
    text = refusal({"table": np.ones((3, 4)), "tokenz": np.ones((3, 6))}, inputs=(TABLE, TOKENS))
    assert "Missing: `x_tokens`" in text
    assert "Unknown: `x_tokenz`" in text
    assert "The batch has `x`" in refusal(np.ones((3, 4)), inputs=(TABLE, TOKENS))


def test_a_single_input_may_have_any_name() -> None:
    assert fit({"whatever": np.ones((3, 4))}).samples == 3


def test_columns_of_a_table_reach_the_inputs_of_their_names() -> None:
    raw = RawBatch(x={"": np.array([[1.0, 2.0], [3.0, 4.0]])}, columns=("age", "size"))
    specs = (TensorSpec("size", (None, 1), "float32"), TensorSpec("age", (None,), "float32"))
    batch = fit_batch(raw, specs, ())
    assert [array.tolist() for array in batch.x] == [[[2.0], [4.0]], [1.0, 3.0]]


def test_lengths() -> None:
    assert "different numbers of samples" in refusal([np.ones((3, 4)), np.ones((2, 6))], inputs=(TABLE, TOKENS))
    assert "3 samples, but the labels of output `head` are 2" in refusal(np.ones((3, 4)), np.arange(2))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3)])
def test_labels_as_class_numbers_or_one_hot(shape: tuple[int, ...]) -> None:
    batch = fit(np.ones((3, 4)), np.zeros(shape, dtype="int8"))
    assert batch.y is not None
    assert batch.y[0].dtype == np.int8


def test_labels_out_of_range_are_a_finding_and_no_error() -> None:
    assert fit(np.ones((3, 4)), np.array([0, 1, 99])).y is not None


def test_labels_that_no_loss_takes() -> None:
    assert "(None, 3)" in refusal(np.ones((3, 4)), np.zeros((3, 5)))
    assert "are text" in refusal(np.ones((3, 4)), np.array(["cat", "dog", "cat"]))


def test_sample_weights() -> None:
    assert fit(np.ones((3, 4)), np.arange(3), weight=[[1], [2], [3]]).sample_weight is not None
    assert "wants (3,)" in refusal(np.ones((3, 4)), np.arange(3), weight=[1, 2])
    assert "negative" in refusal(np.ones((3, 4)), np.arange(3), weight=[1, 2, -1])


def test_a_model_that_tells_no_inputs_takes_arrays_by_index() -> None:
    batch = fit_batch(raw_from_arrays({str(i): np.full((2, 1), i) for i in (10, 2)}), (), ())
    assert [int(array[0, 0]) for array in batch.x] == [2, 10]


def test_live_values_that_are_no_array() -> None:
    with pytest.raises(BatchUnreadable, match="different lengths"):
        raw_from_arrays([[1, 2], [3]])


def test_weights_that_float32_cannot_hold_are_refused() -> None:
    x = np.zeros((3, 4))
    assert "sample_weight as float32 has values that are not finite: 1 infinite" in refusal(x, weight=[1.0, 1e300, 1.0])
    assert "is 0 for every sample" in refusal(x, weight=[1e-300, 0.0, 0.0])


def test_nested_dictionaries_are_taken_by_their_innermost_names() -> None:
    raw = raw_from_arrays({"a": np.zeros(2), "more": {"b": np.ones(2)}})
    assert list(raw.x) == ["a", "b"]
    with pytest.raises(BatchUnreadable, match="two entries `b` in different places"):
        raw_from_arrays({"b": np.zeros(2), "more": {"b": np.ones(2)}})

"""What is said to the owner of a model is said in whole sentences, with names left as they are written."""

from __future__ import annotations

import pytest

from analyzers.errors import BatchMismatch, InvalidOption


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("input `image` wants 3 channels", "input `image` wants 3 channels."),
        ("the labels are 3", "The labels are 3."),
        ("batch_size must be 1 or more", "batch_size must be 1 or more."),
        ("`x` is empty. Send it again.", "`x` is empty. Send it again."),
        ("The names are few: is that all?", "The names are few: is that all?"),
        ("", "."),
    ],
)
def test_messages_are_sentences(given: str, said: str) -> None:
    assert str(InvalidOption(given)) == said
    assert str(BatchMismatch(given)) == said

"""The reference of all causes says what the code does, and the file that is served is what the code says."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from analyzers import causes, remedies
from analyzers.causes import Cause, _shared
from analyzers.reference import reference
from app.reference import FILE
from tools.causes import text

ALL = causes.registered()
FEWEST_WORDS = 25
"""A sentence or two: less says no more than the title."""


def test_the_served_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `make causes`"


@pytest.mark.parametrize("cause", ALL, ids=lambda c: c.code)
def test_every_piece_of_evidence_is_explained_and_no_other(cause: Cause) -> None:
    named = _names(inspect.getsource(cause.module))
    variable = [name for name in cause.evidence if name.startswith("<")]
    assert {n for n in cause.evidence if n not in variable} == {n for n in named if n is not None}
    assert (None in named) == bool(variable)


def _names(source: str) -> set[str | None]:
    """The names that `Evidence(name=...)` is given, None for one that is no constant."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Evidence":
            value = next(k.value for k in node.keywords if k.arg == "name")
            found.add(value.value if isinstance(value, ast.Constant) else None)
    return found


def test_shared_evidence_is_explained() -> None:
    assert _names(inspect.getsource(_shared)) == set(_shared.EVIDENCE)


@pytest.mark.parametrize("cause", ALL, ids=lambda c: c.code)
def test_every_cause_is_told_from_others(cause: Cause) -> None:
    known = {c.code for c in ALL} - {cause.code}
    assert cause.look_alikes
    assert set(cause.look_alikes) <= known
    for words in (cause.what, cause.looks, *cause.evidence.values(), *cause.look_alikes.values()):
        assert words.endswith("."), words
        assert "  " not in words
    assert len(cause.what.split()) >= FEWEST_WORDS
    assert len(cause.looks.split()) >= FEWEST_WORDS / 2
    assert remedies.for_cause(cause.code)


def test_status_and_fields_that_the_words_name_exist() -> None:
    """What stands in backticks and looks like a field of the report is one, and codes are codes."""
    from analyzers import report, report_layers

    fields = set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", inspect.getsource(report) + inspect.getsource(report_layers)))
    codes = {c.code for c in ALL} | {r.code for r in remedies.registered()}
    evidence = {e for c in ALL for e in c.evidence} | set(_shared.EVIDENCE)
    keras = {
        "batch_size", "by_name", "skip_mismatch", "from_logits", "add_loss", "load_weights", "categorical_accuracy",
        "sparse_categorical_accuracy", "sparse_", "reset_state",
    }  # fmt: skip
    for cause in ALL:
        for words in (cause.what, cause.looks, *cause.look_alikes.values()):
            for name in re.findall(r"`([a-z0-9]+_[a-z0-9_]*)`", words):
                assert name in fields | codes | evidence | keras, (cause.code, name)


def test_remedies_show_code_that_compiles() -> None:
    for remedy in reference()["remedies"]:
        assert remedy["what"].endswith(".")
        if remedy["snippet"] is not None:
            compile(remedy["snippet"], remedy["code"], "exec")

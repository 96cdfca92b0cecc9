"""The pages say what the report says, whatever its verdict, and show hostile names as text."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs.models import Diagnosis
from app.pages.rendering import cause, compared, prose, report_page, waiting_page
from tests.app.double import canned_report


def diagnosis(**values: Any) -> Diagnosis:
    known = {
        "id": "d1",
        "status": "succeeded",
        "model_name": "net",
        "model_stem": "upload",
        "model_file": "model.keras",
    }
    return Diagnosis(**(known | {"has_repaired_model": False} | values))


def page(verdict: str, **changes: Any) -> str:
    report = canned_report("d1", "net", "`norm`").model_dump(mode="json")
    return report_page(diagnosis(), report | {"verdict": verdict, "remedies": []} | changes)


def test_where_there_is_no_remedy_the_verdict_says_what_to_do() -> None:
    assert "Nothing needs to be done" in page("no_phase_gap")
    unexplained = page("phase_gap", primary_cause=None, causes=[])
    assert "no known cause explains it" in unexplained
    for step in ("more samples, with labels", "training data", "preprocessing", "#layers"):
        assert step in unexplained
    assert "no remedy for it" in page("phase_gap")
    undecided = page("inconclusive", severity="info")
    assert "the headline says how many" in undecided
    assert 'class="badge inconclusive"' in undecided
    for text in (unexplained, undecided, page("phase_gap")):
        assert "Nothing needs to be done" not in text


@pytest.mark.parametrize(
    ("verdict", "rms", "floor", "significant", "said"),
    [
        ("phase_gap", 0.5, 0.1, True, "a significant difference"),
        ("inconclusive", 0.5, 0.1, False, "not decided"),
        ("inconclusive", 0.5, "NaN", False, "not decided"),
        ("no_phase_gap", 0.01, 0.001, False, "more than chance gives, too little to matter"),
        ("no_phase_gap", 0.01, 0.02, False, "no significant difference"),
        ("no_phase_gap", 0.0, "NaN", False, "no significant difference"),
    ],
)
def test_the_difference_is_put_into_words(verdict: str, rms: Any, floor: Any, significant: bool, said: str) -> None:
    difference = {"relative_output_rms": rms, "noise_floor": floor, "significant": significant}
    assert compared({"verdict": verdict, "phases": {"difference": difference}}) == said


def test_shares_are_shown_only_of_a_gap() -> None:
    assert "<td>–</td></tr>" in page("no_phase_gap")
    assert "<meter" in page("phase_gap").partition('id="layers"')[2]
    assert "can be negative" in page("phase_gap")


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert prose("see `a/b` and `c`") == "see <code>a/b</code> and <code>c</code>"
    assert prose("`<script>alert(1)</script>`") == "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>"
    assert prose("a `x`<img src=x>`y` \" onload='") == (
        "a <code>x</code>&lt;img src=x&gt;<code>y</code> &#34; onload=&#39;"
    )
    assert prose("one ` alone, {{7*7}} \u202e") == "one ` alone, {{7*7}}  "
    assert "<code>norm</code>" in page("phase_gap")


def test_a_cause_has_a_title() -> None:
    assert cause("bn_statistics_unconverged") == "Batch normalization: statistics unconverged"
    assert cause("labels_misaligned") == "Labels misaligned"
    assert "Batch normalization: statistics unconverged" in page("phase_gap")


def test_a_failed_diagnosis_leads_on() -> None:
    failed = diagnosis(status="failed", error_code="batch_mismatch", error_detail="wants `x`, <b>")
    text = waiting_page(failed)
    for part in ('href="/"', 'href="/problems/batch_mismatch"', 'href="/diagnoses/d1"', "<code>x</code>", "&lt;b&gt;"):
        assert part in text

"""A report in the client's hands: what it shows, and that nothing in it is obeyed."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import phasegap
from phasegap.texts import number, plain
from tests.app.double import canned_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m\u202e</table>"


def report(mention: str = "block/norm") -> phasegap.Report:
    return phasegap.Report.of(canned_report("d1", mention, mention).model_dump(mode="json"))


class Tags(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_hostile_names_stay_text_in_a_notebook() -> None:
    shown = report(HOSTILE)._repr_html_()
    tags = Tags()
    tags.feed(shown)
    assert tags.open == []
    harmless = Tags()
    harmless.feed(report()._repr_html_())
    assert tags.seen == harmless.seen
    assert shown.count("&lt;script&gt;") >= 4  # model, headline, explanation, layer
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in report(HOSTILE).summary() + repr(report(HOSTILE))


def test_the_page_says_what_matters() -> None:
    shown = report()._repr_html_()
    for part in ("phase gap", "bn_statistics_unconverged", "90%", "Recalibrate", "block/norm", "print(", "NaN"):
        assert part in shown


def test_a_summary_is_a_few_lines() -> None:
    told = report().summary()
    assert "block/norm: phase gap (critical)" in told
    assert "accuracy: inference 0.5, training phase 0.5" in told
    assert "outputs differ by 0.5 (relative RMS); by chance 0.01" in told
    assert "fix: Recalibrate [verified]" in told
    assert len(told.splitlines()) < 10


def test_layers_are_a_table_with_pandas() -> None:
    table = report().layers
    assert table.index.tolist() == ["block/norm"]
    assert table.loc["block/norm", "effective_updates"] == 5.0
    assert table["kl"].isna().all()
    assert {"share_of_gap", "status", "noise_floor", "momentum"} <= set(table.columns)


def test_layers_are_a_list_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    (layer,) = report(HOSTILE).layers
    assert layer.momentum == 0.99
    assert "&lt;script&gt;" in report(HOSTILE).layers._repr_html_()


def test_what_a_newer_service_adds_is_kept() -> None:
    document = canned_report("d1", "m", "norm").model_dump(mode="json")
    document["novelty"] = {"a": 1}
    document["layers"][0]["novelty"] = 2
    newer = phasegap.Report.of(document)
    assert newer.data.model_extra == {"novelty": {"a": 1}}
    assert newer.layer_findings[0].model_extra == {"novelty": 2}
    document["layers"][0]["status"] = "sublimated"
    with pytest.raises(phasegap.ReportUnreadable, match=r"layers\.0\.status.*newer service") as unread:
        phasegap.Report.of(document)
    assert unread.value.document == document


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report().to_json())
    again = phasegap.Report.from_file(path)
    assert again.to_json() == report().to_json()
    assert pickle.loads(pickle.dumps(again)).verdict == "phase_gap"
    assert copy.deepcopy(again).id == "d1"
    assert {"verdict", "causes", "apply"} <= set(dir(again))
    with pytest.raises(AttributeError):
        _ = again.no_such_field
    with pytest.raises(phasegap.ReportUnreadable):
        phasegap.Report.from_json("no json")


def test_texts_and_numbers() -> None:
    assert plain("a\nb\x1bc" + "d" * 5000)[:6] == "a b cd"
    assert len(plain("d" * 5000)) == 2000
    assert [number(v) for v in (None, float("nan"), float("inf"), 1234.56)] == ["–", "NaN", "∞", "1235"]


def test_every_error_of_the_service_has_its_class() -> None:
    from app.errors import CATALOG, problem_document
    from phasegap.errors import problem_of

    kinds = {code: type(problem_of(problem_document(code, "why"))).__name__ for code in CATALOG}
    assert {code for code, kind in kinds.items() if kind == "InputProblem"} == {
        code
        for code in CATALOG
        if re.match("model_|batch_|unsupported_|no_phase|out_of|deadline|invalid|payload", code)
    }
    assert kinds["queue_full"] == kinds["too_many_requests"] == "Busy"
    assert kinds["internal"] == kinds["worker_crashed"] == "ServiceFault"

"""A report as JUnit XML: a test for the verdict, one for each cause that was found and one for each check.

A cause is a failed test where it is as grave as the gate's level, a check where it did not pass; what could not be run
is skipped. A diagnosis that ended in a problem is one test in error.
"""

from __future__ import annotations

import unicodedata
from typing import Any
from xml.etree import ElementTree

from app.shell.gate import FailOn, is_at_least

SUITE = "phasegap"
VERDICT = "phases_agree"
LINE_END = "\n"


def junit_of_report(report: dict[str, Any], level: FailOn) -> bytes:
    """The XML for a finished diagnosis."""
    suite, cases = _suite(report["model"]["name"], report["timing_s"]["total"])
    verdict = _case(cases, "verdict", VERDICT)
    if level is FailOn.INCONCLUSIVE and report["verdict"] == "inconclusive":
        _child(verdict, "failure", report["headline"], "inconclusive")
    elif report["verdict"] == "phase_gap" and is_at_least(report["severity"], level.severity):
        _child(verdict, "failure", report["headline"], report["severity"])
    else:
        _child(verdict, "system-out", report["headline"])
    for cause in report["causes"]:
        case = _case(cases, "causes", cause["code"])
        if is_at_least(cause["severity"], level.severity):
            _child(case, "failure", _explained(cause), cause["severity"])
        else:
            _child(case, "system-out", _explained(cause))
    for check in report["checks"]:
        case = _case(cases, "checks", check["name"])
        if check["passed"] is not True:
            _child(case, "skipped" if check["passed"] is None else "failure", check["detail"], "check")
    return _finished(suite, cases)


def junit_of_problem(problem: dict[str, Any], model: str) -> bytes:
    """The XML for a diagnosis that could not be made."""
    suite, cases = _suite(model, 0.0)
    _child(_case(cases, "verdict", VERDICT), "error", problem.get("detail") or "", problem.get("code") or "internal")
    return _finished(suite, cases)


def _explained(cause: dict[str, Any]) -> str:
    lines = [f"{cause['explanation']} (confidence {cause['confidence']:.0%})"]
    lines += [f"layer {path}" for path in cause["layers"]]
    lines += [f"{item['name']}: {item['value']}{_against(item)}" for item in cause["evidence"]]
    return LINE_END.join(lines)


def _against(item: dict[str, Any]) -> str:
    return "" if item.get("reference") is None else f" (held against {item['reference']})"


def _suite(model: str, seconds: float | str) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    suite = ElementTree.Element("testsuite", name=_text(f"{SUITE}: {model}"))
    suite.set("time", f"{seconds:.3f}" if isinstance(seconds, float | int) else "0")
    return suite, []


def _case(cases: list[ElementTree.Element], group: str, name: str) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"{SUITE}.{group}", name=_text(name))
    cases.append(case)
    return case


def _child(case: ElementTree.Element, tag: str, text: str, kind: str | None = None) -> None:
    child = ElementTree.SubElement(case, tag)
    if kind is not None:
        child.set("message", _text(text.partition(LINE_END)[0]))
        child.set("type", kind)
    child.text = _text(text)


def _finished(suite: ElementTree.Element, cases: list[ElementTree.Element]) -> bytes:
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    root = ElementTree.Element("testsuites", name=SUITE)
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _text(value: object) -> str:
    """Without characters that XML cannot hold: names come from a stranger's file."""
    return "".join(c if c == LINE_END or unicodedata.category(c)[0] != "C" else " " for c in str(value))

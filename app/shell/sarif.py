"""A report as SARIF 2.1.0, for code scanning: each cause a result at the model's file, with its layers as places in it.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from app import __version__
from app.reference import CAUSES, reference

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"critical": "error", "warning": "warning", "info": "note"}
LAYERS_NAMED = 100  # viewers draw each place; a report on a thousand layers has a worst hundred, not a thousand places


def sarif_of_report(report: dict[str, Any], model: str, server: str | None = None) -> bytes:
    """The log of a finished diagnosis.

    Args:
        report: as JSON.
        model: the path that the model was given by.
        server: the address of the service that explains the causes, None where there is none.
    """
    rules = [_rule(code, server) for code in _codes(report)]
    results = [_result(cause, rules, report, model) for cause in report["causes"]]
    properties = {name: report[name] for name in ("id", "verdict", "severity", "headline", "recommended_fix")}
    return _log({"results": results, "properties": properties}, rules, [{"executionSuccessful": True}])


def sarif_of_problem(problem: dict[str, Any], model: str) -> bytes:
    """The log of a diagnosis that could not be made."""
    notification = {
        "level": "error",
        "descriptor": {"id": problem.get("code") or "internal"},
        "message": {"text": problem.get("detail") or problem.get("title") or "No answer"},
        "locations": [{"physicalLocation": _place(model)}],
    }
    invocation = {"executionSuccessful": False, "toolExecutionNotifications": [notification]}
    return _log({"results": []}, [], [invocation])


def _log(run: dict[str, Any], rules: list[dict[str, Any]], invocations: list[dict[str, Any]]) -> bytes:
    driver = {"name": "PhaseGap", "version": __version__, "semanticVersion": __version__, "rules": rules}
    whole = {"tool": {"driver": driver}, "invocations": invocations, "columnKind": "unicodeCodePoints", **run}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [whole]}, indent=2).encode()


def _codes(report: dict[str, Any]) -> list[str]:
    return sorted({cause["code"] for cause in report["causes"]})


def _rule(code: str, server: str | None) -> dict[str, Any]:
    """What viewers show of a cause. GitHub's wants short and full description and help of every rule."""
    entry = reference().cause(code)
    if entry is None:  # a newer service wrote the report
        return {"id": code, "name": _name(code), "shortDescription": {"text": _words(code)}}
    looks, remedies = f"How it looks: {entry.looks}", [remedy.title for remedy in reference().remedies_for(entry)]
    advice = [f"What to do: {'; or '.join(remedies)}."] if remedies else []
    rule = {
        "id": code,
        "name": _name(code),
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.what},
        "help": {"text": "\n\n".join([entry.what, looks, *advice])},
        "properties": {"tags": ["machine-learning", "benign" if entry.benign else "correctness"]},
    }
    return rule | ({"helpUri": f"{_public(server)}{CAUSES}/{code}"} if server else {})


def _public(server: str) -> str:
    """The address without the login that may stand in it: the log is for others to read."""
    parts = urlsplit(server)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def _result(cause: dict[str, Any], rules: list[dict[str, Any]], report: dict[str, Any], model: str) -> dict[str, Any]:
    layers = cause["layers"][:LAYERS_NAMED]
    return {
        "ruleId": cause["code"],
        "ruleIndex": [rule["id"] for rule in rules].index(cause["code"]),
        "level": LEVELS.get(cause["severity"], "error"),
        "message": {"text": f"{cause['explanation']}{_advice(cause, report)}"},
        "locations": [{"physicalLocation": _place(model), "logicalLocations": [_layer(path) for path in layers]}],
        "partialFingerprints": {"causeAndLayers/v1": _fingerprint(cause, report)},
        "properties": {"confidence": cause["confidence"], "evidence": cause["evidence"]},
    }


def _advice(cause: dict[str, Any], report: dict[str, Any]) -> str:
    titles = [
        remedy["title"]
        for remedy in report["remedies"]
        if remedy["code"] == report["recommended_fix"] and cause["code"] in remedy.get("treats", [])
    ]
    return f" What to do: {titles[0]}." if titles else ""


def _place(model: str) -> dict[str, Any]:
    """The file. A model has no lines, but code scanning takes no result without one, so it is the first."""
    path = Path(model)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}


def _layer(path: str) -> dict[str, Any]:
    return {"name": path.rpartition("/")[2] or path, "fullyQualifiedName": path, "kind": "layer"}


def _fingerprint(cause: dict[str, Any], report: dict[str, Any]) -> str:
    """The same cause in the same layers of a model of the same name is the same finding as in an earlier run."""
    what = json.dumps([report["model"]["name"], cause["code"], cause["layers"]])
    return hashlib.sha256(what.encode()).hexdigest()


def _words(code: str) -> str:
    return code.replace("_", " ")


def _name(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_"))

"""What operators are told: every metric is documented, and the board and the alerts ask only for what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.jobs.states import Ending
from app.jobs.tallies import LIMITS, MEMORY, STAGES, increments_of
from tests.app.double import script
from tests.app.served import ROOT, Server

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OWN_LABELS = {"le", "job", "instance"}
"""What Prometheus adds."""
MIB = 1024 * 1024


def families(server: Server) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(server.get("/metrics").text)}


def value(server: Server, name: str, **labels: str) -> float:
    samples = [s for f in families(server).values() for s in f.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


@pytest.fixture(scope="module")
def busy(server: Server) -> Server:
    """A server that has seen a bit of everything."""
    server.post(script(peak=700 * MIB))
    server.post(script(kind="out_of_memory", code="out_of_memory", limit="memory", peak=5000 * MIB))
    server.get("/nowhere/<script>")
    return server


def series(found: dict[str, Metric]) -> set[str]:
    return {name + suffix for name, family in found.items() for suffix in SUFFIXES[family.type]}


def test_every_metric_is_in_the_table_and_no_other(busy: Server) -> None:
    rows = re.findall(r"^\| `(phasegap_\w+)` \|([^|]*)\|", (ROOT / "docs/operations.md").read_text(), re.M)
    found = {n: f for n, f in families(busy).items() if n.startswith("phasegap_")}
    shown = {name + ("_total" if family.type == "counter" else "") for name, family in found.items()}
    assert {name for name, _ in rows} == shown
    for name, labels in rows:
        samples = found[name.removesuffix("_total")].samples
        assert {label for s in samples for label in s.labels} - {"le"} == set(re.findall(r"`(\w+)`", labels)), name


def expressions() -> Iterator[tuple[str, str]]:
    board = json.loads((ROOT / "deploy/grafana/phasegap.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    rules = yaml.safe_load((ROOT / "deploy/prometheus/phasegap.rules.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]


def test_the_board_and_the_alerts_ask_for_what_there_is(busy: Server) -> None:
    found = families(busy)
    known = series(found) | {"up"}
    labels = {label for f in found.values() for s in f.samples for label in s.labels} | OWN_LABELS
    asked = list(expressions())
    assert len(asked) > 40
    for where, expression in asked:
        names = re.findall(r"\b(?:phasegap|process)_\w+|\bup\b", expression)
        assert names, (where, expression)
        assert set(names) <= known, (where, expression)
        groups = [g for text in re.findall(r"(?:by|without) \(([^)]*)\)", expression) for g in text.split(", ")]
        matched = re.findall(r"[{,](\w+)(?:=~|!=|=)", expression)
        assert set(groups + matched) <= labels, (where, expression)
    text = "\n".join(expression for _, expression in asked)
    assert [name for name in found if name.startswith("phasegap_") and name not in text] == []


def test_every_alert_is_explained() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/phasegap.rules.yml").read_text())["groups"][0]["rules"]
    text = (ROOT / "docs/operations.md").read_text()
    assert [r["alert"] for r in rules if f"`{r['alert']}`" not in text] == []
    assert set(re.findall(r"`(PhaseGap\w+)`", text)) == {r["alert"] for r in rules}


def test_what_is_counted(busy: Server) -> None:
    counted: dict[str, Callable[[], float]] = {
        "limit": lambda: value(busy, "phasegap_limits_hit_total", limit="memory"),
        "memory": lambda: value(busy, "phasegap_guest_peak_memory_bytes_count", outcome="failed"),
        "code": lambda: value(busy, "phasegap_jobs_total", outcome="failed", code="out_of_memory"),
        "problem": lambda: value(busy, "phasegap_http_problems_total", code="out_of_memory"),
        "files": lambda: value(busy, "phasegap_upload_bytes_count", file="model"),
        "bytes": lambda: value(busy, "phasegap_upload_bytes_sum", file="model"),
    }
    before = {name: read() for name, read in counted.items()}
    model = script(kind="out_of_memory", code="out_of_memory", limit="memory", peak=5000 * MIB)
    assert busy.post(model).status_code == 422
    after = {name: read() for name, read in counted.items()}
    assert {name: after[name] - before[name] for name in counted} == {
        **dict.fromkeys(counted, 1),
        "bytes": len(model),
    }
    assert value(busy, "phasegap_guest_peak_memory_bytes_bucket", outcome="failed", le=str(float(4096 * MIB))) == 0
    assert value(busy, "phasegap_guest_peak_memory_bytes_bucket", outcome="failed", le="+Inf") > 0


def test_series_that_alerts_watch_begin_at_zero(busy: Server) -> None:
    found = families(busy)
    assert {"internal", "worker_crashed"} <= {s.labels["code"] for s in found["phasegap_jobs"].samples}
    assert {s.labels["reason"] for s in found["phasegap_jobs_requeued"].samples} == {
        "lost",
        "let_go",
        "stranded",
        "store_away",
        "no_room",
    }
    assert {"memory", "machine_memory"} <= {s.labels["limit"] for s in found["phasegap_limits_hit"].samples}


def test_no_name_of_a_stranger_becomes_a_label(busy: Server) -> None:
    busy.client.request("MADE-UP", "/made-up")
    busy.get("/causes/made-up")
    busy.post(script(name="made-up", mention="made-up"), model_name="made-up.keras")
    assert "made-up" not in busy.get("/metrics").text.lower()
    labels = {line for _, line, _ in increments_of(Ending("succeeded", verdict="phase_gap", primary_cause="made_up"))}
    assert labels == {"succeeded|phase_gap|other|none"}


def test_what_a_settlement_adds() -> None:
    ending = Ending("failed", error_code="out_of_memory", limit="memory", peak_memory_bytes=300 * MIB)
    found: set[tuple[str, Any, float]] = set(increments_of(ending))
    assert {
        (LIMITS, "memory", 1.0),
        (MEMORY.sums, "failed", 300.0 * MIB),
        (MEMORY.counts, f"failed|{384.0 * MIB}", 1.0),
    } <= found
    assert STAGES.increments("load", 1e9)[1] == (STAGES.counts, "load|inf", 1.0)

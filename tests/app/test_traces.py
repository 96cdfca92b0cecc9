"""Traces: one submission is one connected trace, and a collector that is gone or silent is nobody's trouble."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from app.settings import Settings
from app.traces import ENDPOINTS, LAST_BATCH_S, PROTOCOLS, context_of, wanted
from tests.app.collector import Collector, Seen
from tests.app.conftest import QUICK
from tests.app.double import script
from tests.app.served import ROOT, Server

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
SERVER_KIND, CONSUMER_KIND, ERROR = 2, 5, 2


MANY_SPANS = """
import sys, time
from app import traces
from app.settings import Settings
traces.configure_traces(Settings(traces_endpoint=sys.argv[1]), "web")
began_s = time.monotonic()
for _ in range(5000):
    with traces.span("x"):
        pass
spans_s = time.monotonic() - began_s
traces.end_traces()
print(spans_s, time.monotonic() - began_s - spans_s)
"""


@pytest.fixture(autouse=True, scope="module")
def _nothing_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (*ENDPOINTS, *PROTOCOLS, "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
            patch.delenv(name, raising=False)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # milliseconds between batches
        yield


@pytest.fixture(scope="module")
def receiver() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def collector(receiver: Collector) -> Collector:
    receiver.spans.clear()
    return receiver


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, receiver: Collector) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("traced"), traces_endpoint=receiver.endpoint, **QUICK)
    yield running.wait_ready()
    assert running.stop() == 0


def only(spans: list[Seen], name: str) -> Seen:
    found = [s for s in spans if s.name == name]
    assert len(found) == 1, (name, [s.name for s in spans])
    return found[0]


def check_connected(spans: list[Seen], stages: list[str], diagnosis_id: str) -> None:
    request, run = only(spans, "POST /diagnose"), only(spans, "run")
    assert (request.parent_id, request.process, request.kind) == (CALLER, "web", SERVER_KIND)
    assert request.attributes["http.response.status_code"] == 200
    assert (run.parent_id, run.process, run.kind) == (request.span_id, "worker", CONSUMER_KIND)
    queue = only(spans, "queue")
    assert queue.parent_id == request.span_id
    assert {s.attributes["phasegap.diagnosis_id"] for s in (request, run, queue)} == {diagnosis_id}
    parts = sorted((s for s in spans if s.name.startswith("stage ")), key=lambda s: s.began_ns)
    assert [s.name.removeprefix("stage ") for s in parts] == stages
    assert {s.parent_id for s in [*parts, only(spans, "settle")]} == {run.span_id}
    for before, after in pairwise(parts):
        assert before.ended_ns == after.began_ns
    assert all(run.began_ns <= s.began_ns <= s.ended_ns <= run.ended_ns for s in parts)
    assert queue.ended_ns <= run.began_ns
    assert not [s.name for s in spans if s.trace_id != TRACE]


def test_a_submission_is_one_connected_trace(traced: Server, collector: Collector) -> None:
    answer = traced.post(script(seconds=0.3), headers=CLIENT)
    assert answer.status_code == 200
    spans = collector.wait(lambda seen: {"POST /diagnose", "run"} <= {s.name for s in seen})
    check_connected(spans, ["start", "load", "measure", "verify"], answer.json()["id"])
    assert only(spans, "run").attributes["phasegap.outcome"] == "succeeded"
    traced.get("/metrics")
    traced.get("/health/live")
    traced.get("/nowhere/<script>")
    spans = collector.wait(lambda seen: any(s.name == "GET" for s in seen))
    assert not [s for s in spans if "script" in s.name or "health" in s.name or "metrics" in s.name]
    lines = [json.loads(line) for line in traced.log if line.startswith("{")]
    for process, event in (("web", "accepted"), ("worker", "run_ended")):
        line = next(e for e in lines if e["event"] == event)
        assert (line["process"], line["trace_id"], line["diagnosis_id"]) == (process, TRACE, answer.json()["id"])


def test_a_run_that_fails_says_why(traced: Server, collector: Collector) -> None:
    traced.post(script(kind="out_of_memory", code="out_of_memory", detail="a secret of a stranger's", limit="memory"))
    run = only(collector.wait(lambda seen: any(s.name == "run" for s in seen)), "run")
    assert run.status == ERROR
    assert run.attributes["phasegap.code"] == "out_of_memory"
    assert run.attributes["phasegap.limit"] == "memory"
    assert "secret" not in str(collector.spans)


@pytest.mark.slow
def test_a_run_that_lost_its_worker_goes_on_in_the_same_trace(traced: Server, collector: Collector) -> None:
    diagnosis_id = traced.post(script(seconds=3), headers=CLIENT | {"Prefer": "respond-async"}).json()["id"]
    traced.until(lambda: traced.job(diagnosis_id)["status"] == "running")
    traced.kill("worker")
    assert traced.ended(diagnosis_id)["attempt"] == 2
    run = only(collector.wait(lambda seen: any(s.name == "run" for s in seen)), "run")
    assert (run.trace_id, run.attributes["phasegap.attempt"]) == (TRACE, 2)


def test_a_collector_that_never_answers_slows_and_fails_nothing(start: Callable[..., Server]) -> None:
    silent = Collector(silent=True)
    server = start(traces_endpoint=silent.endpoint)
    server.until(lambda: server.post(script()).status_code == 200 and silent.requests > 0)
    began_s = time.monotonic()
    for _ in range(5):
        assert server.post(script()).status_code == 200
    assert time.monotonic() - began_s < 5  # one answer of the collector would be waited for longer
    began_s = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began_s < Settings().shutdown_seconds
    silent.close()


def test_a_collector_that_is_gone_is_given_up_at_the_end() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: a connection is refused
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        done = subprocess.run(
            [sys.executable, "-c", MANY_SPANS, endpoint], cwd=ROOT, capture_output=True, text=True, check=True
        )
    spans_s, end_s = map(float, done.stdout.split())
    assert spans_s < 5  # 1 ms each
    assert end_s < LAST_BATCH_S + 1


def test_without_an_endpoint_logs_still_name_the_clients_trace(server: Server) -> None:
    diagnosis_id = server.post(script(), headers=CLIENT).json()["id"]

    def named() -> bool:
        lines = [json.loads(line) for line in server.log if line.startswith("{") and diagnosis_id in line]
        return {"web", "worker"} <= {e["process"] for e in lines if e.get("trace_id") == TRACE}

    server.until(named)
    plain = server.post(script(), headers={"traceparent": "00-<script>-x-01"}).json()["id"]
    server.until(lambda: any(plain in line for line in server.log))
    assert not [line for line in server.log if plain in line and "trace_id" in line]


@pytest.mark.parametrize(
    ("endpoint", "variables", "on"),
    [
        (None, {}, False),
        ("http://127.0.0.1:4318/v1/traces", {}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        (None, {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ("http://127.0.0.1:4318/v1/traces", {"OTEL_SDK_DISABLED": "true"}, False),
        ("http://127.0.0.1:4318/v1/traces", {"OTEL_TRACES_EXPORTER": "none"}, False),
        ("http://127.0.0.1:4318/v1/traces", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
    ],
)
def test_what_turns_tracing_on(
    endpoint: str | None, variables: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wanted(Settings(traces_endpoint=endpoint)) is on


def test_a_service_without_the_extra_says_so_and_works() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None;"
        "from app.settings import Settings; from app.logs import configure_logs; from app import traces;"
        "s = Settings(traces_endpoint='http://127.0.0.1:1/');"
        "configure_logs(s, 'web'); traces.configure_traces(s, 'web')\n"
        "with traces.span('x', traces.context_of('" + CLIENT["traceparent"] + "')): print(traces.current_traceparent())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "traces_unavailable"
    assert done.stdout.strip() == CLIENT["traceparent"]


@pytest.mark.parametrize("sent", [None, "", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01"])
def test_what_is_no_trace_context_begins_a_new_trace(sent: str | None) -> None:
    from opentelemetry import trace

    assert not trace.get_current_span(context_of(sent)).get_span_context().is_valid


@pytest.mark.slow
def test_the_stages_of_a_real_guest_are_spans(tmp_path: Any, files: dict[str, bytes]) -> None:
    collector = Collector()  # of its own: what another server sends late is none of this one's
    server = Server(tmp_path, real=True, traces_endpoint=collector.endpoint).wait_ready()
    try:
        answer = server.post(files["model.keras"], files["batch.npz"], headers=CLIENT)
        assert answer.status_code == 200
        spans = collector.wait(lambda seen: {"POST /diagnose", "run"} <= {s.name for s in seen})
        stages = ["start", "inspect", "load", "measure", "explain", "verify"]
        check_connected(spans, stages, answer.json()["id"])
        run = only(spans, "run")
        assert run.attributes["phasegap.guest.peak_memory_bytes"] > 100_000_000
        measured = only(spans, "stage measure")
        told_s = answer.json()["timing_s"]["measure"]
        assert run.attributes["phasegap.seconds.measure"] == pytest.approx(told_s)
        assert (measured.ended_ns - measured.began_ns) / 1e9 == pytest.approx(told_s, abs=0.5)
    finally:
        assert server.stop() == 0
        collector.close()

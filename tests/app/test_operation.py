"""Health, metrics, documentation, errors of the framework, keys, and how light the web process is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import psutil
from prometheus_client.parser import text_string_to_metric_families

from app.errors import CATALOG
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.served import ROOT, Server

HEAVY = ("tensorflow", "keras", "numpy", "h5py", "scipy")


def test_health(server: Server) -> None:
    assert server.get("/health/live").json() == {"status": "live"}
    ready = server.get("/health/ready").json()
    assert ready["status"] == "ready"
    assert set(ready["checks"]) == {"database", "queue", "workers"}
    assert "test double" in ready["checks"]["workers"]["detail"]


def test_not_ready_without_a_worker(start: Callable[..., Server]) -> None:
    """A supervisor is quick to start another: each is killed until its absence was seen."""
    server = start()

    def is_missed() -> bool:
        with suppress(AssertionError, psutil.NoSuchProcess):  # none just now
            server.kill("worker")
        return server.get("/health/ready").status_code == 503

    server.until(is_missed, 10)
    server.until(lambda: server.get("/health/ready").status_code == 200, 30)


def test_metrics_count_jobs_by_how_they_ended(server: Server) -> None:
    server.post(script())
    server.post(script(kind="refused", code="model_unsafe"))
    families = {family.name: family for family in text_string_to_metric_families(server.get("/metrics").text)}
    for name in ("phasegap_queue_depth_jobs", "phasegap_queue_oldest_age_seconds", "phasegap_workers"):
        assert len(families[name].samples) == 1
    labels = [sample.labels for sample in families["phasegap_jobs"].samples]
    assert {"outcome": "failed", "verdict": "none", "cause": "none", "code": "model_unsafe"} in labels
    assert any(label["cause"] == "bn_statistics_unconverged" for label in labels)
    assert {"load", "measure", "queue"} <= {
        s.labels["stage"] for s in families["phasegap_stage_duration_seconds"].samples
    }
    assert any(s.labels.get("route") == "/diagnose" for s in families["phasegap_http_requests"].samples)


def test_the_description_is_complete(server: Server) -> None:
    schema = server.get("/openapi.json").json()
    calls = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    one = "/diagnoses/{diagnosis_id}"
    wanted = {("POST", "/diagnose"), ("GET", "/diagnoses"), ("GET", one), ("DELETE", one), ("GET", "/metrics")}
    wanted |= {("GET", f"{one}/{part}") for part in ("report", "model", "events")}
    wanted |= {("GET", "/causes"), ("GET", "/causes/{code}")}
    wanted |= {("GET", "/workers"), ("GET", "/usage"), ("GET", "/audit")}
    wanted |= {("GET", "/keys"), ("POST", "/keys"), ("PATCH", "/keys/{key_id}"), ("DELETE", "/keys/{key_id}")}
    wanted |= {("GET", "/webhooks/endpoints"), ("POST", "/webhooks/endpoints/{name}/enable")}
    wanted |= {("GET", "/webhooks/deliveries"), ("POST", "/webhooks/deliveries/{delivery_id}/retry")}
    assert wanted | {("GET", "/health/live"), ("GET", "/health/ready")} == calls
    submit = schema["paths"]["/diagnose"]["post"]
    fields = submit["requestBody"]["content"]["multipart/form-data"]["schema"]
    one_of = [[way["required"] for way in each["anyOf"]] for each in fields["allOf"]]
    assert one_of == [[["model"], ["model_uri"]], [["batch"], ["batch_uri"]]]
    assert {"reported", "seed", "label_column", "batch_size", "loss", "metrics"} < set(fields["properties"])
    assert {parameter["name"] for parameter in submit["parameters"]} == {"Prefer", "Idempotency-Key"}
    assert {"200", "202", "413", "415", "422", "500", "503", "507", "401", "409", "429"} <= set(submit["responses"])
    described = json.dumps(schema["paths"])
    assert all(f'"{code}"' in described for code in CATALOG)
    assert "application/problem+json" in submit["responses"]["422"]["content"]
    assert "example" in described
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                assert status < "400" or list(answer["content"]) == ["application/problem+json"], (path, status)
    events = schema["paths"]["/diagnoses/{diagnosis_id}/events"]["get"]["responses"]["200"]
    assert list(events["content"]) == ["text/event-stream"]
    assert "HTTPValidationError" not in json.dumps(schema)


def test_pages_need_nothing_from_elsewhere(server: Server) -> None:
    for path in ("/", "/docs", "/problems/queue_full", "/?status=failed&model_name=x&cursor="):
        page = server.get(path)
        assert page.status_code == 200, page.text
        assert page.headers["content-type"].startswith("text/html")
        assert 'src="http' not in page.text
        assert "cdn" not in page.text.lower()
    assert server.get("/static/style.css").status_code == 200
    check_problem(server.get("/problems/none"), "not_found", 404)


def test_a_form_without_javascript_leads_to_the_page(server: Server) -> None:
    answer = server.post(script(), headers={"Accept": "text/html,*/*;q=0.8"}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].endswith("/report")


def test_errors_of_the_framework_are_problems(server: Server) -> None:
    check_problem(server.get("/nothing"), "not_found", 404)
    check_problem(server.get("/static/nothing.css"), "not_found", 404)
    check_problem(server.get("/diagnoses/" + "x" * 100), "invalid_request", 422)
    check_problem(server.get("/diagnoses/%3Cscript%3E"), "not_found", 404)
    answer = server.client.put("/diagnose")
    check_problem(answer, "invalid_request", 405)
    assert "POST" in answer.headers["allow"]


def test_a_browser_is_shown_problems_as_pages(server: Server) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    unknown = server.get("/diagnoses/%3Cscript%3E/report", headers=browser)
    bad_cursor = server.get("/?cursor=@@", headers=browser)
    form = server.post(b"hello", headers=browser, model_name="m.keras")
    nowhere = server.get("/nothing", headers=browser)
    for answer, code, status in (
        (unknown, "not_found", 404),
        (bad_cursor, "invalid_request", 422),
        (form, "model_unreadable", 422),
        (nowhere, "not_found", 404),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        assert f'href="/problems/{code}"' in answer.text
        assert 'href="/"' in answer.text
        assert "<script>" not in answer.text
    check_problem(server.get("/diagnoses/none/report"), "not_found", 404)


def test_the_form_has_every_field_that_a_person_needs(server: Server) -> None:
    page = server.get("/").text
    for name in ("model", "batch", "batch_size", "reported", "label_column", "loss", "metrics"):
        assert f'name="{name}"' in page


def test_the_web_process_is_light(server: Server) -> None:
    web = server.child("web")
    maps = {region.path for region in web.memory_maps()}
    assert not [path for path in maps if any(f"/{name}/" in path for name in HEAVY)]
    assert web.memory_info().rss < 250 * 1024**2
    code = (
        "import sys, app.web, app.worker.process, app.cli, app.supervisor, app.terminal;"
        f"print([n for n in {HEAVY!r} if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_large_upload_costs_the_web_process_little_memory(start: Callable[..., Server]) -> None:
    server = start()
    web = psutil.Process(server.child("web").pid)
    server.post(script())
    before = web.memory_info().rss
    assert server.post(script() + b" " * 200_000_000).status_code == 200
    assert web.memory_info().rss - before < 32 * 1024**2

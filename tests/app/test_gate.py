"""What stands before the routes: headers of every answer, keys, where a request comes from, bodies that are no form."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Callable

import pytest
from starlette.datastructures import Headers

from app.api.admission import operator_of, sent_key
from app.api.origin import check_host, check_site
from app.api.rates import RateLimit, client_of
from app.callers import Role
from app.errors import InvalidRequest
from app.inert import inert_json
from app.logs import make_inert
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.served import Server

HTML = {"Accept": "text/html"}
WANTED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def form(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(
        b"--B\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts
    )


def test_every_answer_has_the_security_headers_even_a_failure(server: Server) -> None:
    done = server.post(script())
    broken = server.post(script()).json()["id"]
    (server.data_dir / "blobs" / "diagnoses" / broken / "attempt-1" / "report.json").write_text("{")
    answers = [done, server.client.delete(done.headers["location"]), server.client.put("/"), server.post(b"hello")]
    answers += [server.get(f"/diagnoses/{broken}", headers=headers) for headers in ({}, HTML)]
    for path in ("/", "/docs", "/static/app.js", "/static/no", "/nothing", "/metrics", "/openapi.json", "/health/live"):
        answers += [server.get(path), server.get(path, headers=HTML)]
    assert {200, 204, 404, 405, 422, 500} <= {answer.status_code for answer in answers}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; ")
        assert "unsafe" not in policy
        assert {name: answer.headers[name] for name in WANTED} == WANTED
        assert "cache-control" in answer.headers
        assert not {"access-control-allow-origin", "server", "x-powered-by"} & set(answer.headers)
        for secret in ("Traceback", str(server.data_dir), "site-packages", '.py"', "sqlite", "pydantic"):
            assert secret not in answer.text
    failures = [answer for answer in answers if answer.status_code == 500]
    check_problem(failures[0], "internal", 500)
    assert failures[1].headers["content-type"].startswith("text/html")
    server.until(lambda: any("unexpected_error" in line for line in server.log))  # the log arrives by a pipe
    server.client.delete(f"/diagnoses/{broken}")


def test_a_redirect_is_never_made_from_the_host(server: Server) -> None:
    for path in ("/health/live/", "/static", "/diagnoses/", "/docs/"):
        answer = server.client.get(path, headers={"Host": "evil"}, follow_redirects=False)
        assert answer.status_code == 404
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (form((b'name="model"; filename="\xff\xfe.keras"', script())), "UTF-8"),
        (form((b'name="model"; filename="\xed\xa0\x80.keras"', script())), "UTF-8"),
        (form((b'name="\xff"', b"1")), "UTF-8"),
        (form((b'name="model"; filename*', script())), "well-formed"),
        (form((b"name=\"model\"; \x00*0*", script())), "well-formed"),
        (form((b'name="seed"', b"1")) * 100_000, "twice"),
        (b"--B\r\n" + b"X: a\r\n" * 1_000_000, "headers"),
        (b"--B\r\nX: " + b"a" * 5_000_000, "headers"),
        (b"a" * 5_000_000, "well-formed"),
        (gzip.compress(form((b'name="seed"', b"1")), mtime=0), "well-formed"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_form_is_refused_soon(server: Server, body: bytes, word: str) -> None:
    web = server.child("web")
    before_s = sum(web.cpu_times()[:2])
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    detail = check_problem(server.client.post("/diagnose", content=body, headers=kind), "invalid_request", 422)[
        "detail"
    ]
    assert word in detail
    assert sum(web.cpu_times()[:2]) - before_s < 2.0  # of the processor, which others may keep busy


def test_a_compressed_body_is_not_unpacked(server: Server) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=B", "Content-Encoding": "gzip"}
    bomb = gzip.compress(b"\0" * 10_000_000)
    answer = server.client.post("/diagnose", content=bomb, headers=headers)
    assert "Content-Encoding" in check_problem(answer, "invalid_request", 422)["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", b"Bearer wrong"), ("Authorization", b"Bearer"), ("Authorization", b"Basic \xe9"),
        ("Authorization", b"Basic !!!"), ("Authorization", b"Basic /////w=="), ("Authorization", b"\xff \xff"),
        ("Authorization", b"Digest sesam\xc3\xa9"), ("X-API-Key", b""), ("X-API-Key", b"SESAM\xc3\x89"),
        ("X-API-Key", b"sesam\xe9"), ("X-Forwarded-For", b"127.0.0.1"), ("Cookie", b"key=sesam\xc3\xa9"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused(name: str, value: bytes) -> None:
    accepted = [hashlib.sha256("sesamé".encode()).hexdigest()]
    assert operator_of(sent_key(Headers(raw=[(name.lower().encode(), value)])), accepted) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", b"Bearer sesam\xc3\xa9"), ("authorization", b"bEaReR  sesam\xc3\xa9 "),
        ("authorization", b"Basic YTpzZXNhbcOp"), ("x-api-key", b"sesam\xc3\xa9"),
    ],
)  # fmt: skip
def test_the_right_key_is_taken_however_it_is_sent(name: str, value: bytes) -> None:
    accepted = [hashlib.sha256("sesamé".encode()).hexdigest()]
    caller = operator_of(sent_key(Headers(raw=[(name.encode(), value)])), accepted)
    assert caller is not None
    assert caller.roles == {Role.ADMIN}


def test_all_but_health_and_static_is_behind_the_key(start: Callable[..., Server]) -> None:
    server = start(api_key_hashes=json.dumps([hashlib.sha256(b"sesame").hexdigest()]))
    paths = set(server.get("/openapi.json", headers={"X-API-Key": "sesame"}).json()["paths"])
    paths |= {"/", "/docs", "/openapi.json", "/problems/internal", "/nothing", "/health", "/static", "/staticx/a"}
    for path in sorted(path for path in paths if not path.startswith("/health/")):
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE"):
            answer = server.client.request(method, path.replace("{diagnosis_id}", "x"))
            assert answer.status_code == 401, (method, path)
            assert "Basic" in answer.headers["www-authenticate"]
    check_problem(server.client.get("/diagnoses", headers={b"authorization": b"Basic \xe9"}), "unauthorized", 401)
    check_problem(server.post(script(), headers={"Authorization": "Bearer wrong"}), "unauthorized", 401)
    assert server.get("/diagnoses", headers={"Authorization": "Bearer sesame"}).status_code == 200
    assert server.get("/diagnoses", auth=("any", "sesame")).status_code == 200
    assert server.post(script(), headers={"X-API-Key": "sesame"}).status_code == 200
    for path in ("/health/live", "/health/ready", "/static/style.css"):
        assert server.get(path).status_code == 200
    for path in ("/health/../diagnoses", "/health/%2e%2e/diagnoses", "/static/..%2fdiagnoses", "/health//diagnoses"):
        assert server.get(path).status_code in (401, 404)


def test_a_name_of_a_strangers_does_not_reach_a_service_without_keys(server: Server) -> None:
    for host in (
        "127.0.0.1:8000",
        "[::1]:8000",
        "localhost",
        "phasegap:8000",
        "a.localhost",
        "gpu.lan",
        "x.internal",
        "",
    ):
        check_host(Headers({"host": host}), (), keys_are_asked_for=False)
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example.", "evil.example@x.y"):
        with pytest.raises(InvalidRequest):
            check_host(Headers({"host": host}), (), keys_are_asked_for=False)
        check_host(Headers({"host": host}), (), keys_are_asked_for=True)
    check_host(Headers({"host": "Ours.example:443"}), ("ours.example",), keys_are_asked_for=False)
    with pytest.raises(InvalidRequest):
        check_host(Headers({"host": "localhost"}), ("ours.example",), keys_are_asked_for=True)
    refused = check_problem(server.get("/diagnoses", headers={"Host": "evil.example"}), "invalid_request", 422)
    assert "PHASEGAP_ALLOWED_HOSTS" in refused["detail"]
    assert server.get("/health/live", headers={"Host": "evil.example"}).status_code == 200


def test_another_sites_page_cannot_submit(server: Server) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        check_problem(server.post(script(), headers=headers), "invalid_request", 422)
        check_problem(server.client.delete("/diagnoses/x", headers=headers), "invalid_request", 422)
        assert server.get("/diagnoses", headers=headers).status_code == 200
    assert server.post(script(), headers={"Origin": server.url, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert server.post(script(), headers={"Origin": server.url}).status_code == 200
    check_site("POST", Headers({"origin": "https://ours.example", "host": "127.0.0.1:8000"}), ("ours.example",))


def test_a_client_is_an_address_or_a_network() -> None:
    assert client_of({"client": ("192.0.2.1", 1)}) == "192.0.2.1"
    assert client_of({"client": ("2001:db8::1", 1)}) == client_of({"client": ("2001:db8::ffff:2%eth0", 2)})
    assert client_of({"client": ("2001:db8:0:1::1", 1)}) != client_of({"client": ("2001:db8::1", 1)})
    assert client_of({}) == "unknown"
    rates = RateLimit(5)
    for number in range(20_000):
        rates.take(str(number))
    assert len(rates._buckets) <= 10_000


def test_odd_parameters_are_answered(server: Server) -> None:
    diagnosis_id = server.post(script()).json()["id"]
    events = server.client.get(f"/diagnoses/{diagnosis_id}/events", headers={b"last-event-id": b"\xb2"})
    assert "event: succeeded" in events.text
    for cursor in ("bmFufA", "aW5mfA", "LWluZnw", "MS4wfAA", "\udcff".encode("utf-8", "surrogateescape").hex()):
        assert server.get("/diagnoses", params={"cursor": cursor}).status_code in (200, 422)
    for name in ("\x00", "<script>", "x" * 200, "\u202e", "😀", "%00%ff"):
        assert server.get("/diagnoses", params={"model_name": name}).json()["items"] == []
    for path in ("/diagnoses/%00", "/diagnoses/%ff", "/diagnoses/%ed%a0%80", "/diagnoses/..%2f..%2fetc"):
        assert server.get(path).status_code == 404


def test_json_and_logs_hold_nothing_that_moves_a_terminal() -> None:
    hostile = "a\x1b[2J\x9b2J\u202eb\u2028c\ud800\nd"
    assert json.loads(inert_json(json.dumps(hostile, ensure_ascii=False))) == hostile
    assert inert_json(json.dumps(hostile, ensure_ascii=False)).isprintable()
    event = make_inert(logging.getLogger(), "info", {"event": hostile, "exception": hostile, "number": 1})
    assert event["event"] == "a\\x1b[2J\\x9b2J\\u202eb\\u2028c\\ud800\\nd"
    assert event["exception"].count("\n") == 1

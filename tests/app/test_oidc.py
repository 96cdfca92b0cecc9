"""Bearer tokens of an issuer: a real one, on loopback, whose keys come over HTTP; what is good, and all that is not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from pydantic import ValidationError

import app.tenancy.issuer as judging
from app.callers import Caller, Quota, Role
from app.errors import NotReady, Unauthorized
from app.settings import Settings
from tests.app.conftest import QUICK, check_problem
from tests.app.double import script
from tests.app.issuer import AUDIENCE, Issuer
from tests.app.served import Server
from tests.app.tenants import As, bearer

LOOPBACK = ("127.0.0.1/32",)
ROLES = ("phasegap-submit", "phasegap-read-own")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    running = Issuer(tmp_path_factory.mktemp("issuer"))
    yield running
    running.stop()


@pytest.fixture
def issuer(process: Issuer) -> Issuer:
    process.begin_anew()
    return process


def judge(issuer: Issuer, **changed: Any) -> judging.Issuer:
    known = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_networks_allowed": LOOPBACK} | changed
    return judging.Issuer(Settings(**known), Quota())


def call(judge: judging.Issuer, *tokens: str) -> list[Caller | str]:
    """What comes of each token, in one loop of events: a caller, or why there is none."""

    async def each() -> list[Caller | str]:
        found: list[Caller | str] = []
        for token in tokens:
            try:
                found.append(await judge.caller_of(token))
            except (Unauthorized, NotReady) as problem:
                found.append(problem.detail)
        return found

    return asyncio.run(each())


def unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_people_of_the_issuer_have_their_own_diagnoses(tmp_path: Path, issuer: Issuer) -> None:
    server = Server(
        tmp_path / "data", oidc_issuer=issuer.url, oidc_audience=AUDIENCE, quota_jobs=2,
        oidc_networks_allowed=json.dumps(LOOPBACK), slots=2, **QUICK,
    )  # fmt: skip
    try:
        ada = As(server, bearer(issuer.token(*ROLES, preferred_username="ada@example.org")))
        bob = As(server, bearer(issuer.token(*ROLES, sub="bob")))
        root = As(server, bearer(issuer.token("phasegap-admin", sub="root")))
        server.wait_ready()
        check_problem(server.get("/diagnoses"), "unauthorized", 401)
        made = ada.submitted(script())
        check_problem(bob.get(f"/diagnoses/{made}"), "not_found", 404)
        assert (ada.listed(), bob.listed(), root.listed()) == ({made}, set(), {made})
        again = As(server, bearer(issuer.token(*ROLES, iat=int(time.time()) - 5)))  # her next token
        assert again.listed() == {made}
        check_problem(As(server, bearer(issuer.token())).get("/diagnoses"), "forbidden", 403)
        spoilt = check_problem(As(server, bearer(issuer.token(*ROLES)[:-4])).get("/diagnoses"), "unauthorized", 401)
        assert issuer.url in spoilt["detail"]
        ada.submitted(script(name="two"))
        check_problem(ada.post(script(name="three")), "too_many_requests", 429)
        names = {item["name"] for item in root.get("/usage").json()["items"]}
        assert "ada@example.org" in names
        lines = root.get("/audit", params={"action": "diagnosis.submit"}).json()["items"]
        assert {line["actor"] for line in lines} == {"ada@example.org"}
        assert issuer.asked() <= 2, "keys are kept"
    finally:
        assert server.stop() == 0, "".join(server.log)


def test_a_good_token_tells_who_and_what(issuer: Issuer) -> None:
    tokens = (
        issuer.token(*ROLES, "phasegap-everything", "admin", email="a\u202e@b.c"),
        issuer.token(roles="phasegap-read-all other"),
        issuer.token(roles=None),
        issuer.token(aud=["other", AUDIENCE], sub="eve"),
    )
    ada, reader, nobody, eve = call(judge(issuer), *tokens)
    assert isinstance(ada, Caller)
    assert isinstance(eve, Caller)
    assert (ada.roles, ada.name) == ({Role.SUBMIT, Role.READ_OWN}, "a@b.c")
    assert [each.roles for each in (reader, nobody) if isinstance(each, Caller)] == [{Role.READ_ALL}, frozenset()]
    assert ada.owner != eve.owner
    nested = judge(issuer, oidc_roles_claim="realm_access.roles", oidc_role_prefix="gap:")
    (found,) = call(nested, issuer.token(realm_access={"roles": ["gap:admin"]}))
    assert isinstance(found, Caller)
    assert found.roles == {Role.ADMIN}


def test_what_is_not_good_is_refused(issuer: Issuer) -> None:
    now_s, other = int(time.time()), RSAKey.generate_key(2048, {"kid": "first"})
    good = issuer.token(*ROLES)
    head, claims, signature = good.split(".")
    public = issuer.key.as_pem(private=False) if isinstance(issuer.key, RSAKey) else b""
    unsigned = unpadded(b'{"alg":"none"}')
    symmetric = unpadded(b'{"alg":"HS256","kid":"first"}') + "." + claims
    confused = unpadded(hmac.digest(public, symmetric.encode(), "sha256"))
    bad = {
        "another key": issuer.token(*ROLES, key=other),
        "another issuer": issuer.token(iss="https://evil.example"),
        "another audience": issuer.token(aud="other"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=now_s - 120),
        "no end": issuer.token(exp=None),
        "not yet": issuer.token(nbf=now_s + 600),
        "no subject": issuer.token(sub=None),
        "an empty subject": issuer.token(sub=""),
        "a subject that is none": issuer.token(sub=7),
        "unsigned": f"{unsigned}.{claims}.",
        "signed with the public key": f"{symmetric}.{confused}",
        "other claims": f"{head}.{claims[:-2]}xx.{signature}",
        "an unknown key": issuer.token(key=RSAKey.generate_key(2048, {"kid": "unknown"})),
        "a forbidden algorithm": issuer.token(header={"alg": "PS256"}),
        "no token": "eyJ.eyJ.x",
        "deep": f"{unpadded(b'{' + b'[' * 50_000)}.{claims}.{signature}",
    }
    found = call(judge(issuer), good, *bad.values())
    assert isinstance(found[0], Caller)
    for name, answer in zip(bad, found[1:], strict=True):
        assert isinstance(answer, str), name
        assert answer.startswith("This token is not taken: "), name


def test_keys_are_taken_over_when_the_issuer_changes_them(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "PAUSE_SECONDS", 0.0)
    keeper, fresh = judge(issuer), ECKey.generate_key("P-256", {"kid": "second"})
    before = issuer.token(*ROLES)
    assert isinstance(call(keeper, before)[0], Caller)
    issuer.publish(issuer.key, fresh, OctKey.generate_key(256, {"kid": "shared"}), more="fields")
    keeper._fetching = asyncio.Lock()  # of another loop of events
    assert [isinstance(each, Caller) for each in call(keeper, issuer.token(*ROLES, key=fresh), before)] == [True] * 2
    issuer.publish(fresh)
    monkeypatch.setattr(judging, "FRESH_SECONDS", 0.0)
    keeper._fetching = asyncio.Lock()
    assert isinstance(call(keeper, before)[0], str), "what was withdrawn is not good any more"


def test_made_up_keys_do_not_flood_the_issuer(issuer: Issuer) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "made-up"})
    answers = call(judge(issuer), *[issuer.token(key=stranger)] * 50)
    assert all(isinstance(answer, str) for answer in answers)
    assert issuer.asked() == 1


def test_an_issuer_that_is_away_lets_nobody_in_and_forgets_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "PAUSE_SECONDS", 0.0)
    issuer = Issuer(tmp_path)  # which ends in this test
    token, keeper, new = issuer.token(*ROLES), judge(issuer), judge(issuer)
    assert isinstance(call(keeper, token)[0], Caller)
    issuer.stop()
    monkeypatch.setattr(judging, "FRESH_SECONDS", 0.0)
    keeper._fetching = asyncio.Lock()
    assert isinstance(call(keeper, token)[0], Caller)
    assert "does not answer" in str(call(new, token)[0])
    monkeypatch.setattr(judging, "STALE_SECONDS", 0.0)
    keeper._fetching = asyncio.Lock()
    assert "does not answer" in str(call(keeper, token)[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"oidc_networks_allowed": ()},
        {"oidc_networks_allowed": ("127.0.0.2/32",)},
        {"oidc_jwks_url": "http://127.0.0.1:9/keys", "oidc_networks_allowed": ()},
        {"oidc_jwks_url": "http://169.254.169.254/keys"},
    ],
)
def test_keys_come_from_no_address_that_was_not_allowed(issuer: Issuer, changed: dict[str, Any]) -> None:
    assert "does not answer" in str(call(judge(issuer, **changed), issuer.token(*ROLES))[0])
    assert issuer.asked() == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("configuration.json", {"issuer": "https://other.example", "jwks_uri": "http://127.0.0.1/keys"}),
        ("configuration.json", {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"}),
        ("configuration.json", {"issuer": "{url}", "jwks_uri": "s3://bucket/keys"}),
        ("configuration.json", {"issuer": "{url}"}),
        ("configuration.json", "[" * 100_000),
        ("keys.json", {"keys": []}),
        ("keys.json", {"keys": "none"}),
        ("keys.json", "x" * 2_000_000),
    ],
)
def test_an_issuer_that_answers_nonsense_is_as_good_as_away(issuer: Issuer, name: str, content: Any) -> None:
    issuer.write(name, json.loads(json.dumps(content).replace("{url}", issuer.url)))
    assert "does not answer" in str(call(judge(issuer), issuer.token(*ROLES))[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "https://login.example"},
        {"oidc_issuer": "ftp://login.example", "oidc_audience": "a"},
        {"oidc_issuer": "https://u:p@login.example", "oidc_audience": "a"},
        {"oidc_issuer": "https://login.example", "oidc_audience": "a", "oidc_algorithms": ("HS256",)},
        {"oidc_issuer": "https://login.example", "oidc_audience": "a", "oidc_algorithms": ("none",)},
        {"oidc_issuer": "https://login.example", "oidc_audience": "a", "oidc_algorithms": ()},
    ],
)
def test_settings_that_would_take_anything_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)

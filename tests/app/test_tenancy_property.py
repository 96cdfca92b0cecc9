"""Nobody is told anything of another's diagnoses, by any route: random keys and calls in turn against real servers.

Two worlds run beside each other. In one, others are there, too, with the same files, the same names of models and the
same idempotency keys; in the other the observed caller is alone. Whatever it asks, it must be answered the same in
both. What it asks goes through the application's own table of routes: a route that this test cannot call fails it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.api.rights import RIGHTS, places
from app.callers import Role
from app.main import create_app
from app.settings import Settings
from tests.app.conftest import QUICK
from tests.app.double import script
from tests.app.served import Server
from tests.app.tenants import As, bearer, made_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LISTENER = [{"name": "main", "url": "https://127.0.0.2:9/hook", "secret": SECRET}]
EXAMPLES = 4
"""Each takes some two seconds on a machine with two cores."""
MODELS = (
    script(name="net", repaired=True),
    script(name="net", mention="other"),
    script(kind="refused", code="batch_mismatch"),
)
OBSERVED, HIDDEN = "observed", "hidden"
BY_STEPS = {("POST", "/diagnose"), ("DELETE", "/diagnoses/{diagnosis_id}")}
WITH_QUERY = {"/compare": ("before", "after"), "/compare/layers.{kind}": ("before", "after")}
CHANGING_TEXT = re.compile(
    r"<svg.*?</svg>|data:[^\"']*|dlv_[0-9a-f]{32}|\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)?|\d+\.\d+(e-?\d+)?"
    r"|\d+ of \d+ places taken",
    re.DOTALL,
)
"""Drawings, which number their parts, ids of deliveries, moments and lengths of time. And how many jobs wait, which the
health check tells everybody (SECURITY.md)."""


@dataclass
class World:
    """A server with its operator, and what the callers of one example have made in it."""

    server: Server
    operator: As
    callers: dict[str, As] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=dict)
    roles: dict[str, list[Role]] = field(default_factory=dict)

    def begin(self, roles: dict[str, list[Role]]) -> None:
        self.callers, self.made, self.roles = {}, {name: [] for name in roles}, roles
        for name, given_roles in roles.items():
            key = self.operator.call("POST", "/keys", json={"name": name, "roles": given_roles}).json()
            self.callers[name] = As(self.server, bearer(key["secret"]), key["id"])

    def submit(self, name: str, model: int, key: str | None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.callers[name].post(MODELS[model], model_name=f"{name}.keras", headers=headers)
        made = answer.headers.get("location", "").removeprefix("/diagnoses/")
        if made and made not in self.made[name]:
            self.made[name].append(made)
        return answer

    def settle(self) -> None:
        """Wait until what is told of endings has been tried, for every diagnosis that is left."""
        left = {item["id"] for item in self.operator.get("/diagnoses", params={"limit": 100}).json()["items"]}
        wanted = {made for names in self.made.values() for made in names} & left

        def tried() -> bool:
            items = self.operator.get("/webhooks/deliveries", params={"limit": 100, "state": "dead"}).json()["items"]
            return wanted <= {item["diagnosis_id"] for item in items}

        self.server.until(tried)

    def plain(self, answer: httpx.Response) -> tuple[int, str, Any]:
        """An answer without what differs from one run to the next."""
        text = answer.text
        for number, made in enumerate(self.made[OBSERVED]):
            text = text.replace(made, f"<diagnosis {number}>")
        text = text.replace(self.callers[OBSERVED].key_id, "<key>")
        if "event-stream" in answer.headers.get("content-type", ""):
            text = " ".join(re.findall(r"^event: (?!progress)(\w+)", text, re.MULTILINE))
        kept = ("content-type", "www-authenticate", "allow")
        return answer.status_code, CHANGING_TEXT.sub("#", text), [answer.headers.get(name) for name in kept]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    options = {
        "slots": 2, "reuse_reports": True, "webhook_endpoints": json.dumps(LISTENER), "webhook_attempts_limit": 1,
        "submissions_per_minute_limit": 0, **QUICK,
    }  # fmt: skip

    def begin(name: str) -> World:
        folder = tmp_path_factory.mktemp(name) / "data"
        _, headers = made_key(folder, "operator", [Role.ADMIN])
        server = Server(folder, **options)
        return World(server, As(server, headers))

    found = begin("crowded"), begin("alone")
    for world in found:
        world.server.wait_ready()
    yield found
    for world in found:
        assert world.server.stop() == 0, "".join(world.server.log)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Every place of the application."""
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("unused")))
    return sorted(places(iter_route_contexts(app.routes)) - {("GET", "/openapi.json")})


def test_every_route_says_what_it_asks_of_its_caller(table: list[tuple[str, str]]) -> None:
    assert set(table) == set(RIGHTS)


NARROW = st.sampled_from([[Role.SUBMIT, Role.READ_OWN], [Role.READ_OWN], [Role.SUBMIT]])
BROAD = st.sampled_from([[Role.SUBMIT, Role.READ_OWN], [Role.SUBMIT, Role.READ_ALL], [Role.ADMIN]])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "delete", "steal"]),
        st.sampled_from([OBSERVED, OBSERVED, f"{HIDDEN}-1", f"{HIDDEN}-2"]),
        st.integers(0, len(MODELS) - 1),
        st.sampled_from([None, None, "k1", "k2"]),
    ),
    min_size=3,
    max_size=7,
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # to make an example smaller would take minutes
)
@given(steps=STEPS, narrow=NARROW, others=st.tuples(BROAD, NARROW))
def test_no_answer_depends_on_what_is_anothers(
    worlds: tuple[World, World], table: list[tuple[str, str]], steps: Any, narrow: list[Role], others: Any
) -> None:
    crowded, alone = worlds
    hidden = {f"{HIDDEN}-1": others[0], f"{HIDDEN}-2": others[1]}
    crowded.begin({OBSERVED: narrow, **hidden})
    alone.begin({OBSERVED: narrow})
    # In any case there is something to find: one diagnosis of each, of the same file.
    for kind, name, model, key in [("submit", f"{HIDDEN}-1", 0, "k1"), ("submit", OBSERVED, 0, "k2"), *steps]:
        first = take_step(crowded, kind, name, model, key)
        if name == OBSERVED:
            assert first == take_step(alone, kind, name, model, key), (kind, model, key)
    running = As(crowded.server, crowded.operator.headers).submitted(
        script(seconds=60, name="net"), headers={"Prefer": "respond-async"}
    )
    with ThreadPoolExecutor(2) as both:
        transcripts = list(both.map(lambda world: sweep(world, table), worlds))
    assert transcripts[0] == transcripts[1]
    probe(crowded, table, running)
    assert crowded.operator.call("DELETE", f"/diagnoses/{running}").status_code == 204
    check_sight(crowded)


def take_step(world: World, kind: str, name: str, model: int, key: str | None) -> Any:
    if kind == "submit":
        return world.plain(world.submit(name, model, key))
    if kind == "delete" and world.made[name]:
        return world.plain(world.callers[name].call("DELETE", f"/diagnoses/{world.made[name][0]}"))
    if kind == "steal":  # what is another's in one world is nothing at all in the other
        if Role.ADMIN in world.roles[name]:
            return None  # it may do so
        foreign = next((made for each, ids in world.made.items() for made in ids if each != name), uuid.uuid4().hex)
        answer = world.callers[name].call("DELETE", f"/diagnoses/{foreign}")
        assert answer.status_code in (403, 404), (name, world.roles[name])
        return answer.status_code, answer.text.replace(foreign, "<another's>")
    return None


def sweep(world: World, table: list[tuple[str, str]]) -> list[Any]:
    """What the observed caller is answered by every place there is, asked for what is its own; nothing of others."""
    world.settle()
    caller, found = world.callers[OBSERVED], []
    own = world.made[OBSERVED][-1] if world.made[OBSERVED] else uuid.uuid4().hex
    items = caller.get("/webhooks/deliveries").json().get("items", [])
    delivery = next((item["id"] for item in items if item["diagnosis_id"] == own), "dlv_none")
    for method, path in [each for each in table if each not in BY_STEPS]:
        for accept in ("application/json", "text/html") if method == "GET" else ("application/json",):
            address = filled(path, own, delivery, caller.key_id)
            answer = caller.call(method, address, params=query(path, own), headers={"Accept": accept})
            assert answer.status_code < 500, (method, path, answer.text)
            for name, ids in world.made.items():
                if name != OBSERVED:
                    assert not [secret for secret in (name, *ids) if secret in answer.text], (method, path)
            found.append((method, path, accept, world.plain(answer)))
    return found


def probe(world: World, table: list[tuple[str, str]], running: str) -> None:
    """What is another's answers as what never was, to every caller that sees its own only."""
    theirs = [running, *(ids[-1] for name, ids in world.made.items() if name != OBSERVED and ids)]
    items = world.operator.get("/webhooks/deliveries", params={"limit": 100}).json()["items"]
    deliveries = {item["diagnosis_id"]: item["id"] for item in items}
    caller, nothing = world.callers[OBSERVED], (uuid.uuid4().hex, f"dlv_{uuid.uuid4().hex}")
    for method, path in [each for each in table if "{diagnosis_id}" in each[1] or "{delivery_id}" in each[1]] + [
        ("GET", path) for path in (*WITH_QUERY, "/webhooks/deliveries")
    ]:
        answers = set()
        for diagnosis, delivery in ((each, deliveries.get(each, nothing[1])) for each in theirs):
            address = filled(path, diagnosis, delivery, "key_none")
            answer = caller.call(method, address, params=query(path, diagnosis))
            answers.add((answer.status_code, answer.text.replace(diagnosis, nothing[0]).replace(delivery, nothing[1])))
        address = filled(path, *nothing, "key_none")
        answer = caller.call(method, address, params=query(path, nothing[0]))
        assert answers == {(answer.status_code, answer.text)}, (method, path)
        assert answer.status_code in (403, 404) or path == "/webhooks/deliveries", (method, path)


def check_sight(world: World) -> None:
    """Everybody sees what is its own, and no less; who may see all does."""
    everything = world.operator.get("/diagnoses", params={"limit": 100}).json()["items"]
    there = {item["id"] for item in everything}
    for name, caller in world.callers.items():
        answer = caller.get("/diagnoses", params={"limit": 100})
        if answer.status_code == 200:
            seen = {item["id"] for item in answer.json()["items"]}
            assert seen in (there, there & set(world.made[name])), name


def filled(path: str, diagnosis: str, delivery: str, key: str) -> str:
    """The path with its parameters. One that is not known here is of a new route, which has to be taken in."""
    known = {
        "diagnosis_id": diagnosis, "delivery_id": delivery, "key_id": key, "kind": "csv", "code": "internal",
        "name": "depth" if "figures" in path else "main",
    }  # fmt: skip
    return path.format_map(known)


def query(path: str, diagnosis: str) -> dict[str, str]:
    if path in WITH_QUERY:
        return dict.fromkeys(WITH_QUERY[path], diagnosis)
    return {"diagnosis_id": diagnosis} if path == "/webhooks/deliveries" else {}

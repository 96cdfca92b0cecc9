"""`/causes`: every cause for people and for programs, linked from what names it."""

from __future__ import annotations

import re

from app.api.vocabulary import CAUSES
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.served import Server

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_every_cause_has_a_page_and_data(server: Server) -> None:
    listed = server.get("/causes", headers=BROWSER).text
    for code in CAUSES:
        assert f'href="/causes/{code}"' in listed
        page = server.get(f"/causes/{code}", headers=BROWSER)
        assert page.headers["content-type"].startswith("text/html")
        data = server.get(f"/causes/{code}")
        assert data.headers["content-type"] == "application/json"
        assert data.json() == server.get(f"/causes/{code}.json", headers=BROWSER).json()
        entry = data.json()
        assert entry["code"] == code
        for name in [item["name"] for item in entry["evidence"]]:
            assert f"<code>{name}</code>".replace("<name", "&lt;name").replace("loss></", "loss&gt;</") in page.text
        for link in re.findall(r'href="(/causes/[a-z_]+)"', page.text):
            assert link.removeprefix("/causes/") in CAUSES
        for remedy in entry["remedies"]:
            assert f"<code>{remedy}</code>" in page.text


def test_all_at_once(server: Server) -> None:
    found = server.get("/causes").json()
    assert {c["code"] for c in found["causes"]} == set(CAUSES)
    assert found == server.get("/causes.json", headers=BROWSER).json()
    codes = {r["code"] for r in found["remedies"]}
    assert {code for c in found["causes"] for code in c["remedies"]} == codes


def test_an_unknown_cause_is_a_problem(server: Server) -> None:
    check_problem(server.get("/causes/witchcraft"), "not_found", 404)
    check_problem(server.get("/causes/witchcraft.json"), "not_found", 404)
    check_problem(server.get("/causes/" + "x" * 65), "invalid_request", 422)
    assert server.get("/causes/witchcraft", headers=BROWSER).status_code == 404


def test_a_report_links_its_causes(server: Server) -> None:
    report = server.post(script()).json()
    assert [c["reference"] for c in report["causes"]] == ["/causes/bn_statistics_unconverged"]
    assert server.get(report["causes"][0]["reference"]).status_code == 200
    page = server.get(f"/diagnoses/{report['id']}/report", headers=BROWSER).text
    assert 'href="/causes/bn_statistics_unconverged"' in page
    for path in ("/", "/docs"):
        assert 'href="/causes"' in server.get(path).text

"""The report, the comparison and the dashboard as a person sees them, and the file that is sent to others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.browser.conftest import OUT, Files, Screen
from tests.app.served import Server

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
OTHERS_REPORTS = (409, 422, 500)
"""What the list leads to where other tests had a diagnosis fail, or run."""
WAIT = {"Prefer": "wait=120"}


@pytest.fixture(scope="session")
def pair(service: Server, chosen: Files) -> tuple[str, str]:
    """A model before and after its repair."""
    batch = chosen["batch.npz"].read_bytes()
    first = service.post(chosen["model.keras"].read_bytes(), batch, model_name="model.keras", headers=WAIT).headers[
        "location"
    ]
    repaired = service.get(f"{first}/model").content
    second = service.post(repaired, batch, model_name="fixed.keras", headers=WAIT).headers["location"]
    return first.rpartition("/")[2], second.rpartition("/")[2]


def report_of(service: Server, diagnosis_id: str) -> dict[str, Any]:
    return dict(service.get(f"/diagnoses/{diagnosis_id}/report").json())


def test_plots_say_what_the_report_says_and_give_their_data(
    screen: Screen, service: Server, pair: tuple[str, str]
) -> None:
    page, report = screen.page, report_of(service, pair[0])
    page.goto(f"/diagnoses/{pair[0]}/report")
    plots = page.locator("figure.plot")
    assert plots.count() >= 3
    for plot in plots.all():
        expect(plot.locator(".wide svg[role=img]")).to_be_visible()
        assert plot.locator("figcaption p").inner_text().endswith(".")
        link = plot.get_by_role("link", name="CSV").get_attribute("href")
        rows = list(csv.DictReader(io.StringIO(service.get(str(link)).text)))
        table = service.get(str(link).replace(".csv", ".json")).json()
        assert len(rows) == len(table["rows"]) > 0
        assert list(rows[0]) == list(table["columns"])
    layer = report["layers"][0]
    rows = service.get(f"/diagnoses/{pair[0]}/figures/depth.json").json()["rows"]
    assert rows[0]["local"] == report["depth"][0]["local"]
    assert rows[0]["share_of_gap"] == layer["share_of_gap"]
    expect(page.locator("#figure-depth figcaption")).to_contain_text(f"{layer['divergence']['kl']:.4g} nats")
    marks = page.locator("#figure-depth .wide title").all_text_contents()
    assert any(layer["path"] in mark and "local" in mark for mark in marks)


def test_every_link_on_a_page_leads_somewhere(screen: Screen, service: Server, pair: tuple[str, str]) -> None:
    paths = (f"/diagnoses/{pair[0]}/report", f"/compare?before={pair[0]}&after={pair[1]}", "/")
    for path in paths:
        screen.page.goto(path)
        places = screen.page.evaluate("[...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))")
        for place in dict.fromkeys(places):
            if place.startswith("#"):
                assert screen.page.locator(f"[id='{place[1:]}']").count() == 1, place
            else:
                status = service.get(place, headers={"Accept": "text/html"}).status_code
                assert status == 200 or (place.endswith("/report") and status in OTHERS_REPORTS), place


def test_a_snippet_is_copied_by_a_button(screen: Screen, service: Server, pair: tuple[str, str]) -> None:
    page = screen.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    page.goto(f"/diagnoses/{pair[0]}/report")
    snippet = page.locator(".snippet").first
    snippet.get_by_role("button", name="Copy").click()
    expect(snippet.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == snippet.locator("code").inner_text()


def test_one_file_tells_all_without_a_server(
    browser: Browser, service: Server, pair: tuple[str, str], tmp_path: Path
) -> None:
    answer = service.get(f"/diagnoses/{pair[0]}/report.html")
    assert answer.headers["content-disposition"].startswith("attachment")
    file = tmp_path / "report.html"
    file.write_bytes(answer.content)
    context = browser.new_context(accept_downloads=True)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator("#headline")).to_contain_text("moving statistics")
    expect(page.locator("#figure-depth .wide svg")).to_be_visible()
    assert page.locator("body").evaluate("(body) => getComputedStyle(body).marginTop") == "0px"  # the style is inside
    expect(page.get_by_role("button", name="Copy").first).to_be_visible()  # and the script
    with page.expect_download() as waited:
        page.get_by_role("link", name="The report as JSON").click()
    assert json.loads(Path(waited.value.path()).read_text())["id"] == pair[0]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []
    context.close()


def test_two_diagnoses_are_compared(screen: Screen, service: Server, pair: tuple[str, str]) -> None:
    page = screen.page
    page.goto(f"/diagnoses/{pair[1]}/report")
    page.get_by_label("Compare with the diagnosis before").select_option(pair[0])
    page.get_by_role("button", name="Compare").click()
    before, after = (report_of(service, each) for each in pair)
    assert before["verdict"] == "phase_gap"
    assert after["verdict"] != "phase_gap"
    expect(page.locator(".lead")).to_contain_text(f"from “phase gap” to “{after['verdict'].replace('_', ' ')}”")
    cells = page.locator("#figures tr", has_text="loss, inference phase").locator("td").all_inner_texts()
    assert cells == [f"{report['phases']['inference']['loss']:.4g}" for report in (before, after)]
    gone = page.locator("#causes dd").first
    expect(gone).to_contain_text("statistics unconverged")


def test_the_list_is_narrowed_down_by_its_address(screen: Screen, service: Server, pair: tuple[str, str]) -> None:
    page = screen.page
    page.goto("/")
    page.get_by_label("Verdict").select_option("phase_gap")
    page.get_by_label("Search").fill("MODEL")
    page.get_by_role("button", name="Filter").click()
    assert "verdict=phase_gap" in page.url
    links = page.locator("table.list a")
    assert links.count() >= 1
    assert set(page.locator("[data-outcome]").all_inner_texts()) == {"phase gap"}
    page.goto("/?q=nobody%25s")
    expect(page.get_by_text("No diagnosis is like this.")).to_be_visible()
    name = report_of(service, pair[0])["model"]["name"]
    page.goto(f"/?model_name={name}")
    expect(page.locator("#figure-trend figcaption")).to_contain_text("the outputs of the phases differed by")
    with page.expect_download() as waited:
        page.locator("#figure-trend").get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(waited.value.path()).read_text())))
    assert {"phase gap", "no phase gap"} <= {row["verdict"] for row in rows}
    assert pair[0] in [row["id"] for row in rows]


def test_a_keyboard_reaches_what_matters(screen: Screen, pair: tuple[str, str]) -> None:
    page = screen.page
    page.goto(f"/diagnoses/{pair[0]}/report")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(document.activeElement.textContent || '').trim().slice(0, 40)"))
    assert {"Download the repaired model", "Page to share (one file)", "Copy", "CSV", "Remove"} <= seen
    assert page.evaluate("[...document.querySelectorAll('h1')].length") == 1


def pictures(page: Page, name: str, width: int, scheme: str) -> None:
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"{name}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_their_screen(
    browser: Browser, service: Server, pair: tuple[str, str], width: int, scheme: Any
) -> None:
    failed = service.submit(b"PK\x03\x04 no model")
    service.ended(failed)
    context = browser.new_context(base_url=service.url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    name = report_of(service, pair[0])["model"]["name"]
    for title, path in {
        "report": f"/diagnoses/{pair[0]}/report",
        "report-after": f"/diagnoses/{pair[1]}/report",
        "failed": f"/diagnoses/{failed}/report",
        "compare": f"/compare?before={pair[0]}&after={pair[1]}",
        "dashboard": "/",
        "trend": f"/?model_name={name}",
        "docs": "/docs",
        "problem": "/problems/batch_mismatch",
    }.items():
        page.goto(path)
        pictures(page, title, width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, title
        spilt = page.evaluate(SPILT)
        assert spilt == [], title
    if width == WIDTHS[0] and scheme == "light":
        page.goto(f"/diagnoses/{pair[0]}/report")
        page.pdf(path=OUT / "report.pdf")
    context.close()


# Text of a drawing that another covers or the window cuts off cannot be read.
SPILT = """() => [...document.querySelectorAll('svg.drawing')].filter((s) => s.getClientRects().length).flatMap((s) =>
  [...s.querySelectorAll('text')].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.width > 0 && (box.left < -1 || box.right > document.documentElement.clientWidth + 1);
  }).map((text) => text.textContent))"""

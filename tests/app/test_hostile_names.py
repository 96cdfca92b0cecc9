"""Names that are attacks, in a real model through a real server: text wherever they are shown, and never more."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.api.vocabulary import CAUSES, VERDICTS
from app.errors import CATALOG
from tests.app.hostile import NAMES, SEEN_AS_TEXT, renamed
from tests.app.served import Server

HTML = {"Accept": "text/html"}
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
ALLOWED_SCRIPTS = {f"/static/{name}.js" for name in ("app", "copy", "upload")}
OWN_FORM = re.compile("/diagnose|/compare|/|/diagnoses/[0-9a-f]{32}/report#channels")
LONGEST_ANSWER = 200_000
JOBS = re.compile(r'phasegap_jobs_total{cause="(\w+)",code="(\w+)",outcome="(\w+)",verdict="(\w+)"} [0-9.]+')
KNOWN_LABELS = {*CAUSES, *CATALOG, *VERDICTS, "none", "succeeded", "failed"}


class _Page(HTMLParser):
    """What a browser would run or follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handlers += [name for name, _ in attributes if name.startswith("on") or name == "style"]
        self.sources += [value or "" for name, value in attributes if name in ("src", "action", "formaction")]
        self.sources += [
            value or "" for name, value in attributes if name == "href" and (value or "").startswith("java")
        ]
        if tag in ("iframe", "object", "embed", "base", "foreignobject", "image", "use", "animate", "set"):
            self.handlers.append(tag)
        if tag == "svg" and dict(attributes).get("class") != "drawing":
            self.handlers.append(tag)


def check_page(text: str) -> None:
    page = _Page(text)
    assert page.handlers == []
    assert [s for s in page.sources if s not in ALLOWED_SCRIPTS and not OWN_FORM.fullmatch(s)] == []
    assert not UNSEEN.search(text)
    assert len(text) < LONGEST_ANSWER


def check_file(text: str) -> None:
    """The page that is sent to others: one script, ours, and a policy that lets no other run."""
    page = _Page(text)
    assert page.handlers == []
    assert page.sources == []
    assert text.count("<script>") == 1
    assert text.count("<style>") == 1
    assert re.search("script-src &#39;sha256-[A-Za-z0-9+/=]+&#39;", text)
    assert not UNSEEN.search(text)


def check_data(real: Server, diagnosis_id: str) -> None:
    """No name is a formula to a spreadsheet, nor anything but text."""
    for name in ("depth", "channels"):
        for kind, media_type in (("csv", "text/csv"), ("json", "application/json")):
            answer = real.get(f"/diagnoses/{diagnosis_id}/figures/{name}.{kind}")
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].startswith(media_type)
            assert answer.headers["content-disposition"].startswith("attachment")
            assert not UNSEEN.search(answer.text)


def check_metrics(text: str, plain: str) -> None:
    """No name becomes a label: however many there are, the series are the same."""
    assert plain[:40] not in text
    lines = [line for line in text.splitlines() if line.startswith("phasegap_jobs_total")]
    assert lines
    for line in lines:
        found = JOBS.fullmatch(line)
        assert found, line
        assert set(found.groups()) <= KNOWN_LABELS


@pytest.mark.parametrize("kind", NAMES)
def test_a_hostile_name_is_text_everywhere(real: Server, files: dict[str, bytes], kind: str) -> None:
    name = NAMES[kind]
    lines = len(real.log)
    plain = name.encode("utf-8", "replace").decode()[:300].replace('"', "'").replace("\r", "").replace("\n", "")
    options = {"reported": json.dumps({plain: 1.0})} if plain.isprintable() else {}
    answer = real.post(
        renamed(files["model.keras"], name), files["batch.npz"], model_name=f"{plain}.keras", data=options
    )
    assert answer.status_code == (200 if kind in SEEN_AS_TEXT else 422), answer.text[:500]
    diagnosis_id = answer.json()["id"]
    texts = [answer.text, real.get(f"/diagnoses/{diagnosis_id}").text, real.get("/diagnoses").text]
    texts.append(real.get(f"/diagnoses/{diagnosis_id}/events").text)
    for text in texts:
        assert not UNSEEN.search(text)
        assert "Traceback" not in text
        assert len(text) < LONGEST_ANSWER
    frames = texts[-1].strip().split("\n\n")
    assert all({line.partition(":")[0] for line in frame.splitlines()} == {"event", "data", "id"} for frame in frames)
    paths = [
        (f"/diagnoses/{diagnosis_id}/report", {}),
        ("/", {}),
        ("/", {"model_name": plain[:200]}),
        ("/", {"q": plain[:200]}),
    ]
    if kind in SEEN_AS_TEXT:
        paths.append(("/compare", {"before": diagnosis_id, "after": diagnosis_id}))
    for path, query in paths:
        check_page(real.client.get(path, params=query, headers=HTML).text)
    if kind in SEEN_AS_TEXT:
        assert json.loads(answer.text)["model"]["name"] == name
        check_file(real.get(f"/diagnoses/{diagnosis_id}/report.html").text)
        check_data(real, diagnosis_id)
        given = real.get(f"/diagnoses/{diagnosis_id}/model").headers.get("content-disposition", "")
        assert re.fullmatch(r"attachment; filename(\*=utf-8''[\w.%()+~-]+|=\"[\w.()+ -]+\")", given), given
    check_metrics(real.get("/metrics").text, plain)
    for line in real.log[lines:]:
        assert json.loads(line)  # one event a line, whatever it holds
        assert not UNSEEN.search(line.rstrip("\n"))
        assert plain[:40] not in line


@pytest.mark.parametrize(
    "fields",
    [
        {"label_column": NAMES["markup"]}, {"loss": NAMES["attribute"]}, {"metrics": NAMES["path"]},
        {"loss": NAMES["markup"]}, {"metrics": NAMES["metrics"]}, {"label_column": "y" * 1_000_000},
    ],
)  # fmt: skip
def test_a_hostile_field_is_text_everywhere(real: Server, files: dict[str, bytes], fields: dict[str, str]) -> None:
    for headers in ({}, HTML):
        answer = real.post(
            files["model.keras"], files["batch.npz"], data=fields, headers=headers, follow_redirects=True
        )
        assert answer.status_code in (409, 413, 422)
        assert len(answer.text) < LONGEST_ANSWER
        if headers:
            check_page(answer.text)
        assert "Traceback" not in answer.text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser: install chromium")
def test_a_browser_runs_no_script_of_theirs(real: Server, files: dict[str, bytes], tmp_path: Path) -> None:
    name = NAMES["markup"] + NAMES["attribute"]
    answer = real.post(renamed(files["model.keras"], name), files["batch.npz"], model_name=f"{name}.keras")
    assert answer.status_code == 200, answer.text
    for path in (f"{answer.headers['location']}/report", "/"):
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path}",
            "--dump-dom",
        ]
        shown = subprocess.run(
            [*command, "--virtual-time-budget=2000", real.url + path],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        title = re.search("<title>(.*?)</title>", shown, re.DOTALL)
        assert title
        assert title.group(1) != "hit"
        assert "PhaseGap" in title.group(1)
        check_page(shown)
        assert "&lt;img src=x" in shown

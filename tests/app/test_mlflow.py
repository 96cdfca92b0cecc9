"""Models that a real MLflow server keeps: by URI through the service, and through `phasegap.mlflow` back to the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import check_problem
from tests.app.foreign import environment, running
from tests.app.served import ROOT, Server
from tests.app.test_fetching import ask

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# In the project's own environment, which has Keras; MLflow comes last on the path, so that nothing else of it counts.
LOG = """
import sys; sys.path.append(sys.argv[1])
import json, keras, mlflow, mlflow.tensorflow
folder, model = sys.argv[2], keras.saving.load_model(sys.argv[2] + "/model.keras")
with mlflow.start_run() as new:  # MLflow 3: a logged model, registered
    logged = mlflow.tensorflow.log_model(model, name="net", registered_model_name="tiny")
    mlflow.log_artifact(folder + "/batch.npz")
mlflow.MlflowClient().set_registered_model_alias("tiny", "champion", 1)
with mlflow.start_run() as old:  # MLflow 2: everything in the run
    mlflow.log_artifact(folder + "/model.keras", "net/data")
    mlflow.log_text("flavors: {}", "net/MLmodel")
    model.export(folder + "/model", verbose=False)
    mlflow.log_artifact(folder + "/model", "exported/data")
    mlflow.log_text("none", "notes/readme.txt")
print(json.dumps({"new": new.info.run_id, "old": old.info.run_id, "model": logged.model_uri}))
"""
READ = """
import sys, json, mlflow
run = mlflow.get_run(sys.argv[1])
names = [file.path for file in mlflow.artifacts.list_artifacts(f"runs:/{sys.argv[1]}/phasegap")]
report = mlflow.artifacts.load_dict(f"runs:/{sys.argv[1]}/phasegap/report.json")
page = mlflow.artifacts.load_text(f"runs:/{sys.argv[1]}/phasegap/report.html")
print(json.dumps({"metrics": run.data.metrics, "tags": run.data.tags, "names": names, "report": report, "page": page,
                  "status": run.info.status}))
"""


@dataclass
class Tracking:
    """A tracking server with a model of either layout, and an interpreter that has its client."""

    url: str
    python: Path
    folder: Path
    new: str
    old: str
    model: str

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {"MLFLOW_TRACKING_URI": self.url, "PYTHONPATH": str(ROOT)}
        return subprocess.run([str(self.python), *arguments], env=environ, capture_output=True, text=True, check=False)

    def run(self, run_id: str) -> dict[str, Any]:
        done = self.call("-c", READ, run_id)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp("mlflow")
    for name in ("model.keras", "batch.npz"):
        (folder / name).write_bytes(files[name])
    python = environment(folder / "env", "mlflow>=3.1,<4", "httpx2>=2.16")
    command = [str(python.with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--backend-store-uri", "sqlite:///mlflow.sqlite", "--artifacts-destination", "./artifacts"]
    with running(command, folder / "run", "/health") as url:
        packages = next((folder / "env" / "lib").glob("python*/site-packages"))
        environ = os.environ | {"MLFLOW_TRACKING_URI": url}
        log = [sys.executable, "-c", LOG, str(packages), str(folder)]
        done = subprocess.run(log, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told = next(line for line in done.stdout.splitlines() if line.startswith('{"new"'))
        yield Tracking(url, python, folder, **json.loads(told))


@pytest.fixture(scope="module")
def service(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("service"),
        real=True,
        mlflow_tracking_uri=tracking.url,
        uri_prefixes='["models:/tiny", "models:/m-none", "runs:/"]',
        model_limit_bytes=20_000_000,
        reuse_reports=True,
    )
    yield server.wait_ready()
    assert server.stop() == 0


def test_the_service_fetches_from_either_layout(tracking: Tracking, service: Server) -> None:
    batch = f"runs:/{tracking.new}/batch.npz"
    uris = ["models:/tiny/1", "models:/tiny@champion", f"runs:/{tracking.new}/net", f"runs:/{tracking.old}/net"]
    for uri in [*uris, f"runs:/{tracking.old}/net/data/model.keras"]:
        answer = ask(service, model_uri=uri, batch_uri=batch)
        assert answer.status_code == 200, answer.text
        assert answer.json()["verdict"] in ("phase_gap", "no_phase_gap", "inconclusive")
        assert answer.json()["layers"][0]["path"] == "sequential/norm"


def test_what_is_not_there_or_not_allowed_is_refused(tracking: Tracking, service: Server) -> None:
    batch = f"runs:/{tracking.new}/batch.npz"
    for uri, word in (
        ("models:/tiny/9", "no such"),
        ("models:/tiny@nobody", "no such"),
        ("models:/tiny", "models:/name/version"),
        (tracking.model, "allowed"),
        (f"runs:/{'0' * 32}/net", "no such"),
        (f"runs:/{tracking.old}/none", "no artifact"),
        (f"runs:/{tracking.old}/exported", "SavedModel"),
        (f"runs:/{tracking.old}/notes", "name one"),
        (f"runs:/{tracking.old}/net/../../{tracking.new}/batch.npz", ".."),
    ):
        answer = ask(service, model_uri=uri, batch_uri=batch)
        assert word in check_problem(answer, "invalid_request", 422)["detail"]
        assert tracking.url not in answer.text


def test_the_report_goes_to_the_run_that_the_model_comes_from(tracking: Tracking, service: Server) -> None:
    arguments = ["models:/tiny@champion", str(tracking.folder / "batch.npz"), "--server", service.url]
    done = tracking.call("-m", "phasegap.mlflow", *arguments, "--option", "batch_size=16")
    assert done.returncode == 0, done.stderr
    run = tracking.run(tracking.new)
    report = service.get(f"/diagnoses/{run['tags']['phasegap.report_id']}/report").json()
    assert run["report"] == report
    assert report["phases"]["batch_size"] == 16
    assert set(run["names"]) == {"phasegap/report.json", "phasegap/report.html"}
    assert "<html" in run["page"]
    assert run["status"] == "FINISHED"
    tags = {"verdict": report["verdict"], "primary_cause": report["primary_cause"] or "none"}
    assert {name: run["tags"][f"phasegap.{name}"] for name in tags} == tags
    assert run["metrics"]["phasegap.loss.inference"] == pytest.approx(report["phases"]["inference"]["loss"])
    assert run["metrics"]["phasegap.loss.training"] == pytest.approx(report["phases"]["training"]["loss"])
    largest = max(layer["divergence"]["kl"] for layer in report["layers"])
    assert run["metrics"]["phasegap.largest_divergence_kl"] == pytest.approx(largest)


def test_folders_and_files_of_runs_are_sent_too(tracking: Tracking, service: Server) -> None:
    batch = f"runs:/{tracking.new}/batch.npz"
    for uri in (
        f"runs:/{tracking.old}/exported",
        f"runs:/{tracking.old}/net",
        f"runs:/{tracking.old}/net/data/model.keras",
    ):
        done = tracking.call("-m", "phasegap.mlflow", uri, batch, "--server", service.url)
        assert done.returncode == 0, done.stderr
        assert tracking.run(tracking.old)["tags"]["phasegap.model_uri"] == uri


def test_what_cannot_be_diagnosed_says_so_in_one_line(tracking: Tracking, service: Server) -> None:
    batch = str(tracking.folder / "batch.npz")
    for uri, word in (
        ("models:/tiny/9", "tiny"),
        (f"runs:/{tracking.old}/notes", "readme.txt"),
        ("s3://b/m", "models:/"),
    ):
        done = tracking.call("-m", "phasegap.mlflow", uri, batch, "--server", service.url)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr
    done = tracking.call("-m", "phasegap.mlflow", "models:/tiny/1", batch, "--server", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "Nothing answers" in done.stderr
    done = tracking.call("-m", "phasegap.mlflow", "models:/tiny/1", batch, "--option", "bacth_size=16")
    assert done.returncode == 2
    assert "batch_size" in done.stderr

"""The whole OpenAPI description against a running service: `python -m benchmarks.fuzz_api [--examples 400] [--seed 1]`.

Schemathesis makes requests that the description allows and such that it forbids, alone and one after the other, and
holds every answer against the description: no failure of the server, no status, media type, header or content that
is not described, no nonsense accepted. `api_hooks.py` gives it diagnoses and files that exist, so that it gets further
than the door. The service is a real one with its sandbox, started for it in an empty folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx

from benchmarks.service import ROOT, Service, uploads

ANSWER_LIMIT_S = 30
READY_LIMIT_S = 120.0
NO_MODEL = b"PK\x03\x04 no model"
SCENARIOS = 100
"""Of requests one after the other. Beyond some 190 the generator finds no further step and calls that an error."""

KINDS = {"full": 1, "none": 1, "doomed": 30}
"""Diagnoses to ask about: succeeded, refused, and those that may be deleted."""


@dataclass
class Fuzzed:
    """What came of it."""

    sound: bool
    cases: int
    said: str


def fuzz(
    base: str,
    model: bytes,
    batch: bytes,
    *,
    examples: int,
    refused: bytes = NO_MODEL,
    seed: int = 1,
    limit_s: float = 1800.0,
) -> Fuzzed:
    """Hold a running service against its own description, `examples` requests a call. `refused` is a model that is."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "model").write_bytes(model)
        (home / "batch").write_bytes(batch)
        (home / "known.json").write_text(
            json.dumps(_known(base, {"full": model, "none": refused, "doomed": refused}, batch))
        )
        environment = os.environ | {
            "SCHEMATHESIS_HOOKS": "benchmarks.api_hooks",
            "PHASEGAP_FUZZ_DIR": folder,
            "PYTHONPATH": str(ROOT),
        }
        command = [
            sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
            f"{base}/openapi.json", "--seed", str(seed), "--no-color",
            "--request-timeout", str(ANSWER_LIMIT_S), "--suppress-health-check", "all", "--continue-on-failure",
        ]  # fmt: skip
        said, sound, cases = "", True, 0
        for phases, most in (("examples,coverage,fuzzing", examples), ("stateful", min(examples, SCENARIOS))):
            chosen = [*command, "--phases", phases, "--max-examples", str(most)]
            done = subprocess.run(
                chosen, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=limit_s
            )
            found = re.search(r"(\d+) generated", done.stdout)
            said, sound = said + done.stdout + done.stderr, sound and done.returncode == 0
            cases += int(found.group(1)) if found else 0
    return Fuzzed(sound, cases, said)


def _known(base: str, models: dict[str, bytes], batch: bytes) -> dict[str, list[str]]:
    """Diagnoses of every kind, submitted; those that last have ended."""
    with httpx.Client(base_url=base, timeout=ANSWER_LIMIT_S) as client:
        known = {kind: [_submit(client, models[kind], batch) for _ in range(count)] for kind, count in KINDS.items()}
        for diagnosis_id in (*known["full"], *known["none"]):
            _wait(client, f"/diagnoses/{diagnosis_id}")
    return known


def _submit(client: httpx.Client, model: bytes, batch: bytes) -> str:
    files = {"model": ("model.keras", model), "batch": ("batch.npz", batch)}
    return str(client.post("/diagnose", files=files, headers={"Prefer": "respond-async"}).json()["id"])


def _wait(client: httpx.Client, path: str) -> None:
    end_s = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < end_s:
        answer = client.get(path)
        if answer.status_code == 200 and answer.json()["status"] not in ("queued", "running"):
            return
        time.sleep(0.1)
    raise SystemExit(f"{path} was not ready within {READY_LIMIT_S:g} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400, help="requests for each call of the API, at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made, data_dir = Path(folder) / "made", Path(folder) / "data"
        made.mkdir()
        data_dir.mkdir()
        model, batch = uploads(made)
        service = Service(data_dir, queue_limit_jobs=100_000)  # a full queue is described, and taken for a failure
        base = service.url
        try:
            with httpx.Client(base_url=base, timeout=ANSWER_LIMIT_S) as client:
                _wait(client, "/health/ready")
            result = fuzz(base, model, batch, examples=arguments.examples, seed=arguments.seed)
        finally:
            service.stop()
    print(result.said)
    sys.exit(not result.sound)


if __name__ == "__main__":
    main()

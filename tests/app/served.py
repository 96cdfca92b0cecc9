"""A real server for tests: supervisor, web process and worker as programs of their own, on a free port of loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from app.supervisor import WORKER

ROOT = Path(__file__).resolve().parents[2]
DOUBLE = [sys.executable, "-m", "tests.app.double"]
SERVE = "import sys; from app.settings import Settings; from app.logs import configure_logs; from app.supervisor import serve; s = Settings(); configure_logs(s, 'supervisor'); sys.exit(serve(s, '127.0.0.1', int(sys.argv[1]), {worker}))"  # fmt: skip  # noqa: E501


class Server:
    """A running service. `real` takes the real sandbox; else the worker plays scripts, if there is to be one here.
    `root`: whose code.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        real: bool = False,
        port: int = 0,
        own_worker: bool = True,
        root: Path = ROOT,
        **settings: Any,
    ) -> None:
        self.data_dir = data_dir
        self.real = real
        self.own_worker = own_worker
        self.root = root
        self.environment = os.environ | {"PHASEGAP_DATA_DIR": str(data_dir), "PYTHONPATH": str(root)}
        settings = {"reuse_reports": False} | settings  # many tests send the same bytes and want them run
        self.environment |= {f"PHASEGAP_{name.upper()}": str(value) for name, value in settings.items()}
        self.port = port
        self.start()

    def start(self) -> None:
        worker = repr((WORKER if self.real else DOUBLE) if self.own_worker else None)
        command = [sys.executable, "-c", SERVE.format(worker=worker), str(self.port)]
        self.log: list[str] = []
        self.process = subprocess.Popen(
            command, env=self.environment, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://[^ ]+:(\d+)", line)
        assert found, line
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=120)
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)

    def wait_ready(self, seconds: float = 90) -> Server:
        self.until(lambda: self.get("/health/ready").status_code == 200, seconds)
        return self

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError("not within the time; log:\n" + "".join(self.log[-60:]))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def post(self, model: bytes, batch: bytes = b"PK\x03\x04batch", **options: Any) -> httpx.Response:
        model_name, batch_name = options.pop("model_name", "tiny.keras"), options.pop("batch_name", "batch.npz")
        files = {"model": (model_name, model), "batch": (batch_name, batch)}
        return self.client.post("/diagnose", files=files, **options)

    def submit(self, model: bytes, **options: Any) -> str:
        answer = self.post(model, headers={"Prefer": "respond-async"}, **options)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, diagnosis_id: str) -> dict[str, Any]:
        answer = self.get(f"/diagnoses/{diagnosis_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, diagnosis_id: str, seconds: float = 60) -> dict[str, Any]:
        self.until(lambda: self.job(diagnosis_id)["status"] in ("succeeded", "failed", "cancelled"), seconds)
        return self.job(diagnosis_id)

    def child(self, name: str) -> psutil.Process:
        """The web or worker process."""
        mark = {"web": " web ", "worker": "worker" if self.real else "tests.app.double"}[name]
        for process in psutil.Process(self.process.pid).children():
            if mark in " ".join(process.cmdline()) + " ":
                return process
        raise AssertionError(f"no {name} process")

    def kill(self, name: str) -> None:
        process = psutil.Process(self.process.pid) if name == "supervisor" else self.child(name)
        process.send_signal(signal.SIGKILL)

    def stop(self) -> int:
        self.client.close()
        self.process.terminate()
        return self.process.wait(30)

    def stored_files(self) -> list[str]:
        """All files of the blob store and of runs."""
        folders = (self.data_dir / "blobs", self.data_dir / "scratch")
        found = [path for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file()]
        return [str(path.relative_to(self.data_dir)) for path in found if not path.name.endswith(".lock")]

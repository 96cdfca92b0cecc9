"""A worker with a sandbox that plays a script instead of running a model, to test everything around it quickly.

The script is JSON after the first four bytes of the model file: {"kind", "code", "detail", "limit", "peak", "seconds",
"repaired", "mention", "faults"}; with a GPU its first so many runs end by a fault of it. Run as a program it takes the
options of `phasegap worker`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analyzers.report import Report
from app.sandbox.endings import device_fault
from app.sandbox.protocol import GuestDevice, Limits, Outcome, Task

MAGIC = b"PK\x03\x04"
NOTE = "a <b>note</b> of a stranger's"


def script(**steps: Any) -> bytes:
    """A model file that makes the double do as the steps say."""
    return MAGIC + json.dumps(steps).encode()


class ScriptedSandbox:
    isolation = "test double"

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def check(self, device: GuestDevice) -> str | None:
        """A GPU is well unless there is a file of its name that says why not."""
        ailment = Path(os.environ.get("PHASEGAP_DATA_DIR", "."), f"broken-{device.visible}")
        return ailment.read_text() if ailment.exists() else None

    def run(
        self,
        job_folder: Path,
        task: Task,
        limits: Limits,
        *,
        on_progress: Callable[[str, float, str | None], None],
        should_stop: Callable[[], bool],
    ) -> Outcome:
        steps = json.loads((job_folder / "in" / task.model_file).read_bytes()[len(MAGIC) :] or b"{}")
        if steps.get("kill_worker"):
            os.kill(os.getpid(), signal.SIGKILL)
        until_s = time.monotonic() + steps.get("seconds", 0.0)
        for stage, fraction in (("load", 0.2), ("measure", 0.6), ("verify", 0.9)):
            on_progress(stage, fraction, NOTE if stage == "load" else None)
        while time.monotonic() < until_s:
            if should_stop():
                return Outcome(kind="cancelled")
            time.sleep(0.02)
        if limits.device is not None and int(job_folder.name.rpartition("-")[2]) <= steps.get("faults", 0):
            return device_fault()
        if steps.get("kind", "succeeded") != "succeeded":
            detail = steps.get("detail", "as the script says")
            known = {"code": steps.get("code"), "limit": steps.get("limit"), "peak_memory_bytes": steps.get("peak")}
            return Outcome(kind=steps["kind"], detail=detail, **known)
        return _succeed(job_folder, task, steps, limits)


def _succeed(job_folder: Path, task: Task, steps: dict[str, Any], limits: Limits) -> Outcome:
    if limits.device is not None:
        steps["device"] = f"GPU: {limits.device.visible}, {limits.device.memory_bytes} bytes"
    out = job_folder / "out"
    out.mkdir(exist_ok=True)
    repaired = None
    if steps.get("repaired"):
        (out / "repaired.keras").write_bytes(b"a repaired model")
        repaired = "out/repaired.keras"
    report = canned_report(task.diagnosis_id, steps.get("name", "tiny"), steps.get("mention", "nothing"))
    report.environment.device = steps.get("device", "CPU")
    (out / "report.json").write_text(report.model_dump_json())
    return Outcome(kind="succeeded", repaired_file=repaired, peak_memory_bytes=steps.get("peak"))


def canned_report(diagnosis_id: str, name: str, mention: str) -> Report:
    nan = float("nan")
    phase = {"loss": nan, "metrics": {"accuracy": 0.5}}
    divergence = {"kl": nan, "mean_shift_sd": 1.0, "variance_ratio": 2.0, "wasserstein2": 1.0}
    layer = {
        "path": mention, "class_name": "BatchNormalization", "calls": 1, "channels": 4, "axis": -1, "momentum": 0.99,
        "epsilon": 1e-3, "trainable": True, "divergence": divergence, "noise_floor": 0.1, "significant": True,
        "inherited": 0.0, "share_of_gap": 1.0, "effective_updates": 5.0, "updates_to_converge": 500,
        "status": "lagging",
    }  # fmt: skip
    cause = {"code": "bn_statistics_unconverged", "confidence": 0.9, "severity": "critical", "explanation": mention}
    verification = {
        "status": "verified",
        "method": "test",
        "samples": 3,
        "before": {"loss": 1.0},
        "after": {"loss": 0.1},
    }
    remedy = {"code": "recalibrate_bn_statistics", "title": "Recalibrate", "explanation": mention,
              "verification": verification, "snippet": "print('<b>')"}  # fmt: skip
    array = {
        "name": "x",
        "shape": [3, 2],
        "dtype": "float32",
        "min": 0,
        "max": 1,
        "mean": 0.5,
        "sd": nan,
        "non_finite": 1,
    }
    return Report.model_validate({
        "id": diagnosis_id, "created_at": "2026-01-01T00:00:00Z", "verdict": "phase_gap", "severity": "critical",
        "headline": f"A headline about {mention}", "primary_cause": "bn_statistics_unconverged", "causes": [cause],
        "recommended_fix": "recalibrate_bn_statistics", "remedies": [remedy], "layers": [layer],
        "phases": {"batch_size": 3, "inference": phase, "training": phase, "difference": {
            "relative_output_rms": 0.5, "prediction_agreement": 0.5, "noise_floor": 0.01, "significant": True,
            "by_mechanism": {}}},
        "model": {"name": name, "format": "keras", "keras_version": "3", "parameters": 1, "layers": 1,
                  "batch_normalizing_layers": 1, "optimizer_iterations": 5, "compiled": True},
        "batch": {"samples": 3, "inputs": [array], "labels": None},
        "checks": [{"name": "replay_identity", "passed": True, "detail": "fine"}],
        "timing_s": {"load": 0.1, "measure": 0.2, "total": 0.3},
        "environment": {"device": "CPU", "tensorflow": "2", "keras": "3", "python": "3"},
    })  # fmt: skip


def main() -> None:
    from app.kin import die_with_parent
    from app.logs import configure_logs
    from app.settings import Settings
    from app.traces import configure_traces
    from app.worker.process import run_worker

    parser = argparse.ArgumentParser()
    parser.add_argument("--parent-pid", type=int, required=True)
    die_with_parent(parser.parse_args().parent_pid)
    settings = Settings()
    configure_logs(settings, "worker")
    configure_traces(settings, "worker")
    run_worker(settings, ScriptedSandbox())


if __name__ == "__main__":
    main()

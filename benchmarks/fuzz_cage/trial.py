"""One spoilt file: what it is, its run through a real guest, and what came of it."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import CATALOG
from app.sandbox.host import Sandbox
from app.sandbox.jobfolder import IN, KEPT, LOG, OUT
from app.sandbox.protocol import Limits, Outcome, Task
from benchmarks.fuzz_cage.spoiling import spoil

DEADLINE_SECONDS = 5.0
GRACE_SECONDS = 10.0
"""How much later than the deadline a guest may be gone: to die takes processor time, which a machine may lack."""

LIMITS = Limits(memory_bytes=2 << 30, wall_seconds=DEADLINE_SECONDS, output_bytes=64 << 20, cpu_seconds=60, threads=1)
CONTROL_EVERY = 40
"""Every so many files is a sound one, with time enough, that must succeed whatever the others did."""

CONTROL_SECONDS = 120.0
SPOILT_BATCHES = 0.35
WITH_OPTIONS = 0.25

OPTIONS: dict[str, tuple[Any, ...]] = {
    "loss": ("mse", "categorical_crossentropy", "hinge", "kl_divergence", "binary_crossentropy", "nothing", ""),
    "metrics": ("accuracy", "auc,mae", "precision", "f1_score", "top_k_categorical_accuracy", "nothing", ",,"),
    "batch_size": (1, 2, 7, 40, 1000),
    "label_column": ("y", "a", "z"),
    "reported": ({"accuracy": 1.0, "loss": 0.01}, {"nothing": -1e300}, {}),
    "seed": (0, 1 << 40),
}
LEAKS = (
    tempfile.gettempdir() + os.sep,
    str(Path.home()),
    sys.prefix,
    str(Path(__file__).parents[2]),
    ".py",
    "Traceback",
)
"""What no answer to a stranger may hold."""


@dataclass(frozen=True)
class Upload:
    """What is sent: two files by their corpus names, contents and options. `sound`: nothing was spoilt."""

    index: int
    model: Path
    batch: Path
    contents: tuple[bytes, bytes]
    options: dict[str, Any]
    sound: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of an upload. `trouble` is a defect of the service; `trace` says where a guest's own error arose."""

    index: int
    model: str
    ending: str
    seconds: float
    trouble: str | None
    trace: str | None


def upload(index: int, corpus: list[Path]) -> Upload:
    """The upload of that number."""
    draw = random.Random(index)
    models = [path for path in corpus if path.name.startswith("model-")]
    model = draw.choice(models)
    batches = [path for path in corpus if path.name.startswith(f"batch-{model.name.split('-')[1]}-")]
    batch = draw.choice(batches)
    contents = [model.read_bytes(), batch.read_bytes()]
    if index % CONTROL_EVERY == 0:
        sound = next(path for path in batches if path.suffix == ".npz")
        return Upload(index, model, sound, (contents[0], sound.read_bytes()), {}, sound=True)
    at = int(draw.random() < SPOILT_BATCHES)
    contents[at] = spoil((model, batch)[at].name, contents[at], draw)
    chosen = draw.sample(list(OPTIONS), draw.choice((1, 2))) if draw.random() < WITH_OPTIONS else []
    options = {name: draw.choice(OPTIONS[name]) for name in chosen}
    return Upload(index, model, batch, (contents[0], contents[1]), options)


def run(sandbox: Sandbox, sent: Upload, folder: Path) -> Verdict:
    """Run the upload in a job folder that is made for it and removed."""
    names = [f"{role}{_suffix(path)}" for role, path in (("model", sent.model), ("batch", sent.batch))]
    (folder / IN).mkdir(parents=True)
    for name, content in zip(names, sent.contents, strict=True):
        (folder / IN / name).write_bytes(content)
    task = Task(diagnosis_id=f"d-{sent.index}", model_file=names[0], batch_file=names[1], **sent.options)
    limits = LIMITS.model_copy(update={"wall_seconds": CONTROL_SECONDS, "cpu_seconds": 60}) if sent.sound else LIMITS
    outcome: Outcome | None = None
    try:
        outcome = sandbox.run(folder, task, limits, on_progress=lambda *_: None, should_stop=lambda: False)
        trouble, ending = _trouble(sent, outcome, folder), f"{outcome.kind}: {outcome.code}"
    except Exception as error:
        trouble, ending = f"the host raised {type(error).__name__}: {error}", "host exception"
    trace = _trace(folder / OUT / LOG) if outcome is None or outcome.code in ("internal", "worker_crashed") else None
    shutil.rmtree(folder)
    seconds = outcome.seconds if outcome is not None else 0.0
    return Verdict(sent.index, f"{sent.model.name} {sent.batch.name}", ending, seconds, trouble, trace)


def _suffix(path: Path) -> str:
    return ".tar.gz" if path.name.endswith(".tar.gz") else path.suffix


def _trouble(sent: Upload, outcome: Outcome, folder: Path) -> str | None:
    """What is wrong with how the run ended, were the file ever so broken."""
    left = {path.name for path in (folder / OUT).iterdir()} - KEPT
    detail = outcome.detail or ""
    troubles = {
        "an internal error": outcome.code == "internal",
        f"not in the contract: {outcome.code}": outcome.code is not None and outcome.code not in CATALOG,
        f"a sound file ended as {outcome.kind}: {outcome.code}": sent.sound and outcome.kind != "succeeded",
        f"gone after {outcome.seconds:.1f} s": not sent.sound and outcome.seconds > DEADLINE_SECONDS + GRACE_SECONDS,
        f"left {sorted(left)}": bool(left) or (folder / "scratch").exists(),
        f"no words for its owner: {detail!r}": outcome.kind != "succeeded" and len(detail) < 20,
        f"names what it should not: {detail!r}": any(leak in detail for leak in LEAKS),
    }
    return next((words for words, is_so in troubles.items() if is_so), None)


def _trace(log: Path) -> str:
    """The last line of the guest's own log and the last places of ours before it."""
    if not log.exists():
        return "no log"
    text = log.read_text(errors="replace")
    places = re.findall(r'File "[^"]*?/((?:analyzers|app)/[^"]+)", line (\d+)', text)
    last = [line for line in text.strip().splitlines() if line.strip()][-1:]
    return f"{'; '.join(f'{name}:{line}' for name, line in places[-3:])} | {''.join(last)[:160]}"

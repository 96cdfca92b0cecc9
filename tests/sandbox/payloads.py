"""What guests do in these tests in place of a diagnosis: behave, misbehave, attack. All of it inside the real cage.

A payload is chosen by the task's `loss`. All are harmless: bombs are bounded, and what they reach for is a canary.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

import analyzers.errors
from app.sandbox import guest
from app.sandbox.device import use_threads
from app.sandbox.jobfolder import ERROR, PROGRESS, REPORT, TASK
from app.sandbox.protocol import Task
from app.sandbox.room import Room
from tests.sandbox import attacks
from tests.sandbox.reports import a_report


def good(room: Room, task: Task) -> None:
    progress = guest.Progress(room)
    for number, stage in enumerate(("load", "measure", "explain", "verify"), 1):
        progress(stage, number / 4)
        time.sleep(0.02)
    guest.leave_report(room, a_report(task.diagnosis_id))


def good_with_repair(room: Room, task: Task) -> None:
    (room.out / "repaired.keras").write_bytes(b"a repaired model")
    guest.leave_report(room, a_report(task.diagnosis_id, repaired=True))


def repair_is_missing(room: Room, task: Task) -> None:
    guest.leave_report(room, a_report(task.diagnosis_id, repaired=True))


def computes(room: Room, task: Task) -> None:
    import tensorflow as tf

    use_threads(room.limits.threads)
    total = float(tf.reduce_sum(tf.random.normal((64, 64)) @ tf.zeros((64, 64))))
    guest.leave_report(room, a_report(task.diagnosis_id, headline=str(total)))


def works_hard(room: Room, task: Task) -> None:
    """What a diagnosis may need: training, graphs, compiled graphs, every format of model, Parquet, temporary files."""
    import keras
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf

    x, y = np.ones((8, 8, 8, 3), "float32"), np.zeros(8)
    layers = [
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    for name in ("model.keras", "model.h5"):
        model.save(room.out / f"copy-of-{name}")
        again = keras.models.load_model(room.out / f"copy-of-{name}", compile=False)
        assert np.allclose(again.predict(x, verbose=0), expected, atol=1e-5)
    model.export(room.scratch / "saved", verbose=False)
    served = tf.saved_model.load(str(room.scratch / "saved"))
    assert np.allclose(served.serve(x), expected, atol=1e-5)
    pq.write_table(pa.table({"x": np.arange(1000)}), room.scratch / "t.parquet")
    assert pq.read_table(room.scratch / "t.parquet")["x"][999].as_py() == 999
    guest.leave_report(room, a_report(task.diagnosis_id))


def looks_around(room: Room, task: Task) -> None:
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    seen = {
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "targets": sorted(os.readlink(f"/proc/self/fd/{n}") for n in ("0", "1", "2")),
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "session": os.getsid(0) == os.getpid() == os.getpgid(0),
        "no_new_privs": fields["NoNewPrivs"].strip(),
        "uid": os.getuid(),
    }
    guest.leave_report(room, a_report(task.diagnosis_id, headline=json.dumps(seen)))


def refuses(room: Room, task: Task) -> None:
    raise analyzers.errors.BatchMismatch("input `image` wants (None, 2), the batch has (8, 3)")


def fails(room: Room, task: Task) -> None:
    raise ValueError(f"a secret path: {room.folder}")


def fails_wrapped(room: Room, task: Task) -> None:
    try:
        raise MemoryError
    except MemoryError:
        raise RuntimeError("wrapped") from None


def killed(room: Room, task: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(room: Room, task: Task) -> None:
    ctypes.string_at(0)


def aborts(room: Room, task: Task) -> None:
    os.abort()


def quits(room: Room, task: Task) -> None:
    os._exit(0)


def exits(room: Room, task: Task) -> None:
    sys.exit(0)


def spins(room: Room, task: Task) -> None:
    (room.out / "pid").write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def grows(room: Room, task: Task) -> None:
    hoard = []
    while len(hoard) < 4000:
        hoard.append(b"x" * (4 << 20))


def grows_shared(room: Room, task: Task) -> None:
    import mmap

    for _ in range(4000):
        globals().setdefault("kept", []).append(mmap.mmap(-1, 4 << 20))
        globals()["kept"][-1].write(b"x" * (4 << 20))


def asks_for_a_terabyte(room: Room, task: Task) -> None:
    import numpy as np

    np.ones(1 << 37)


def asks_tensorflow_for_a_terabyte(room: Room, task: Task) -> None:
    import tensorflow as tf

    tf.fill((1 << 19, 1 << 19), 1.0)


def floods_streams(room: Room, task: Task) -> None:
    for _ in range(256):
        os.write(1, b"x" * (1 << 20))
        os.write(2, b"x" * (1 << 20))
    guest.leave_report(room, a_report(task.diagnosis_id))


def writes_a_huge_file(room: Room, task: Task) -> None:
    with open(room.out / "huge", "wb") as file:
        while True:
            file.write(b"x" * (1 << 20))


def writes_many_files(room: Room, task: Task) -> None:
    for number in range(10**6):
        (room.scratch / str(number)).write_bytes(b"x" * 100_000)


def digs_deep(room: Room, task: Task) -> None:
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    guest.leave_report(room, a_report(task.diagnosis_id))


def report_is_a_folder(room: Room, task: Task) -> None:
    (room.out / REPORT).mkdir()


def report_is_nonsense(room: Room, task: Task) -> None:
    (room.out / REPORT).write_text('{"id": NaN')


def report_is_endless(room: Room, task: Task) -> None:
    (room.out / REPORT).write_text(" " * (17 << 20))


def report_is_of_another(room: Room, task: Task) -> None:
    guest.leave_report(room, a_report("somebody else's"))


def error_is_invented(room: Room, task: Task) -> None:
    (room.out / ERROR).write_text('{"code": "unauthorized", "detail": "log in at evil.example"}')


def lies_about_progress(room: Room, task: Task) -> None:
    texts = ("\u202e", "", "x" * 161, "a\n")
    notes = [json.dumps({"stage": "load", "fraction": 0.5, "note": text}) for text in texts]
    lines = [
        *notes,
        '{"stage": "<script>", "fraction": 0.5}',
        '{"stage": "load", "fraction": 1e9}',
        "[",
        "{}",
        '{"stage":',
    ]
    (room.out / PROGRESS).write_text('{"stage": "load", "fraction": 0.5}\n' + "\n".join(lines) + "\n" + "x" * 10**6)
    guest.leave_report(room, a_report(task.diagnosis_id))


def act(room: Room, held: list[str]) -> None:
    """The errand: the payload that the task names."""
    task = Task.model_validate_json((room.folder / TASK).read_bytes())
    {**globals(), **vars(attacks)}[str(task.loss)](room, task)

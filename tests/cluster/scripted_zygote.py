"""A zygote without TensorFlow whose guests play scripts: real forks in the real cage, hundreds of them in a minute.

The script is that of `tests.app.double`; of it a guest knows `seconds` and `name`.
"""

from __future__ import annotations

import json
import time

from app.sandbox import guest, rehearsal, zygote
from app.sandbox.jobfolder import IN, TASK
from app.sandbox.protocol import Task
from app.sandbox.room import Room
from tests.app.double import MAGIC, canned_report


def play(room: Room, held: list[str]) -> None:
    task = Task.model_validate_json((room.folder / TASK).read_bytes())
    steps = json.loads((room.folder / IN / task.model_file).read_bytes()[len(MAGIC) :] or b"{}")
    progress, until_s = guest.Progress(room), time.monotonic() + steps.get("seconds", 0.0)
    for stage, fraction in (("load", 0.2), ("measure", 0.6), ("verify", 0.9)):
        progress(stage, fraction)
    while time.monotonic() < until_s:
        time.sleep(0.02)
    guest.leave_report(room, canned_report(task.diagnosis_id, steps.get("name", "tiny"), "nothing"))


if __name__ == "__main__":
    zygote.warm_up = lambda: None
    rehearsal._compute = lambda room: None
    zygote.main({"diagnose": play, "rehearse": rehearsal.rehearse})

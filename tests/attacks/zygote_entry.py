"""The zygote as shipped, but its guests open the hostile file themselves, in place of a diagnosis."""

from __future__ import annotations

import errand

from app.sandbox import rehearsal, zygote
from app.sandbox.cage import Room
from app.sandbox.device import use_threads
from app.sandbox.jobfolder import IN, LOG, TASK
from app.sandbox.protocol import Task


def attack(room: Room, held: list[str]) -> None:
    """What stands in for a diagnosis: the file named in the task is opened by the loader that it names as its loss."""
    task = Task.model_validate_json((room.folder / TASK).read_bytes())
    use_threads(room.limits.threads)
    with (room.out / LOG).open("a") as log:
        uploads = room.folder / IN
        errand.attempt(uploads / task.model_file, uploads / task.batch_file, str(task.loss), log.write)


if __name__ == "__main__":
    zygote.main({"diagnose": attack, "rehearse": rehearsal.rehearse})

"""What is deleted is gone: from rows, from pages of the database that are free now, from its log, from the files."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest

from tests.app.double import script
from tests.app.served import Server

ERASURE_LIMIT_S = 5.0
"""A run that is cancelled must notice and end before its folder goes; the rest takes milliseconds."""
MARK = "marked-{}-Zyx9"


def places(server: Server, *marks: str) -> set[str]:
    """The files of the data folder that hold one of the marks in any of their bytes."""
    wanted = [mark.encode() for mark in marks]
    found = set()
    for path in server.data_dir.rglob("*"):
        try:
            held = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        if any(mark in held for mark in wanted):
            found.add(str(path.relative_to(server.data_dir)))
    return found


def submit(server: Server, mark: str, **steps: object) -> str:
    answer = server.post(
        script(mention=mark, name=mark, repaired=True, **steps),
        model_name=f"{mark}.keras",
        data={"label_column": mark, "reported": json.dumps({mark: 1.0})},
        headers={"Prefer": "respond-async", "Idempotency-Key": mark},
    )
    return str(answer.json()["id"])


@pytest.mark.parametrize("ending", ["succeeded", "failed"])
def test_nothing_of_an_ended_diagnosis_is_left_in_any_byte(server: Server, ending: str) -> None:
    mark = MARK.format(ending)
    kind = {} if ending == "succeeded" else {"kind": "refused", "code": "batch_mismatch", "detail": mark}
    diagnosis_id = submit(server, mark, **kind)
    server.ended(diagnosis_id)
    found = places(server, mark, diagnosis_id)
    assert any("sqlite" in name for name in found)
    assert any("blobs" in name for name in found)
    assert server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    server.until(lambda: places(server, mark, diagnosis_id) == set(), ERASURE_LIMIT_S)
    assert not any(mark in line for line in server.log)  # logs name diagnoses by their id
    with sqlite3.connect(server.data_dir / "phasegap.sqlite") as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert any("workflow" in name for name in tables)  # the queue's own are among them
        for table in tables:
            assert diagnosis_id not in repr(database.execute(f'SELECT * FROM "{table}"').fetchall())


def test_a_running_diagnosis_keeps_nothing_but_that_it_was_cancelled(server: Server) -> None:
    mark = MARK.format("running")
    diagnosis_id = submit(server, mark, seconds=30)
    server.until(lambda: server.job(diagnosis_id)["progress"]["stage"] == "verify")
    with sqlite3.connect(server.data_dir / "phasegap.sqlite") as database:
        content = database.execute(
            "SELECT content_hash, model_sha256, batch_sha256, note FROM diagnoses WHERE id = ?", (diagnosis_id,)
        ).fetchone()
    assert all(content)
    assert server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    hashes = [value for value in content if re.fullmatch("[0-9a-f]{64}", value)]
    # The batch is that of other tests: its hash stands in their rows, too.
    own = [value for value in hashes if value != content[2]]
    server.until(lambda: places(server, mark, *own) == set(), ERASURE_LIMIT_S)
    job = server.job(diagnosis_id)
    assert (job["status"], job["model_name"], job["progress"]["note"]) == ("cancelled", "", None)
    assert server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    server.until(lambda: places(server, diagnosis_id) == set(), ERASURE_LIMIT_S)

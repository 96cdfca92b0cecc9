"""Each attack through the front door: refused with its code, in words that help, nothing given away or reached."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.app.served import Server
from tests.attacks.canaries import Canaries
from tests.attacks.kit import GROUPS, Found, Upload, all_attacks

STATUSES = {"unsupported_model_format": 415, "unsupported_batch_format": 415, "payload_too_large": 413}
GIVEN_AWAY = ("Traceback", "site-packages", '.py"', "sqlite", sys.prefix)
SECONDS_FOR_ANY = 110
"""Six seconds of the processor's time and what else a busy machine does."""

Send = Callable[[Upload], Any]


@pytest.fixture
def send(attacked: Server, good: Upload) -> Send:
    def send(upload: Upload) -> Any:
        model, batch = upload.model or good.model, upload.batch or good.batch
        names = {"model_name": upload.model_name, "batch_name": upload.batch_name}
        return attacked.post(model, batch, headers={"Prefer": f"wait={SECONDS_FOR_ANY}"}, **names)

    return send


@pytest.mark.parametrize("found", all_attacks(), ids=str)
def test_it_is_refused(
    found: Found, send: Send, make: Callable[[Found], Upload], canaries: Canaries, attacked: Server
) -> None:
    upload = make(found)
    answer = send(upload)
    problem = answer.json()
    assert (problem.get("code"), answer.status_code) == (found.attack.code, STATUSES.get(found.attack.code, 422)), (
        problem
    )
    assert answer.headers["content-type"] == "application/problem+json"
    detail = problem["detail"]
    assert [word for word in found.attack.says if word not in detail] == [], detail
    assert not canaries.leaked(answer.text)
    assert [word for word in GIVEN_AWAY if word in answer.text] == []
    assert str(attacked.data_dir) not in answer.text
    assert canaries.touched() == []


@pytest.mark.parametrize("group", GROUPS)
def test_a_good_job_after_all_of_them_is_none_the_worse(group: str, send: Send, attacked: Server, good: Upload) -> None:
    answer = send(Upload())
    assert answer.status_code == 200, answer.text
    assert answer.json()["verdict"] == "phase_gap"


def test_no_log_has_the_secret_and_nothing_is_left(attacked: Server, canaries: Canaries) -> None:
    assert not canaries.leaked("".join(attacked.log))
    assert [name for name in attacked.stored_files() if name.startswith("scratch")] == []

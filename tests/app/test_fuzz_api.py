"""The API's own description, held against a server in small: `python -m benchmarks.fuzz_api` does so at length."""

from __future__ import annotations

from benchmarks.fuzz_api import fuzz
from tests.app.double import script
from tests.app.served import Server

EXAMPLES = 6
FEWEST_CASES = 200


def test_every_answer_is_one_that_is_described(server: Server) -> None:
    lines = len(server.log)
    refused = script(kind="refused", code="model_unreadable")
    result = fuzz(server.url, script(repaired=True), b"PK\x03\x04batch", refused=refused, examples=EXAMPLES)
    assert result.sound, result.said[-6000:]
    assert result.cases > FEWEST_CASES
    assert not any("unexpected_error" in line for line in server.log[lines:])

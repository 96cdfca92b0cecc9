"""Each attack straight inside the cage, with the static pass and safe mode off: it reaches nothing and ends as told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.sandbox.host import Sandbox
from tests.attacks import caged, kit
from tests.attacks.canaries import Canaries
from tests.attacks.kit import Found, Upload, all_attacks

SECONDS = {kit.TIME: 2.0}
PATIENCE_SECONDS = 60.0


def stops(found: Found) -> set[str]:
    """The endings that are as the table says.

    A library may say in its own words that a file cannot be opened, or go on without it: that it would have been read
    is what the control shows.
    """
    attack = found.attack
    if attack.inside in (kit.FILES, kit.CALLS):
        return {kit.FILES, kit.CALLS, kit.LIBRARY} | ({kit.NOTHING} if attack.breaches else set())
    return {attack.inside}


EACH = [pytest.param(x, id=str(x), marks=[pytest.mark.slow] * x.attack.slow_inside) for x in all_attacks()]


@pytest.mark.parametrize("found", EACH)
def test_it_is_held(
    found: Found, cage: Sandbox, make: Callable[[Found], Upload], good: Upload, canaries: Canaries, tmp_path: Path
) -> None:
    seconds = SECONDS.get(found.attack.inside, PATIENCE_SECONDS)
    ending = caged.run(cage, tmp_path / "job", make(found), good, found.attack.loader, seconds=seconds)
    assert not canaries.leaked(ending.read)
    assert canaries.touched() == []
    assert ending.layer in stops(found), (ending.outcome, ending.read[:1500])


def test_a_good_file_is_opened_and_read(cage: Sandbox, good: Upload, tmp_path: Path) -> None:
    ending = caged.run(cage, tmp_path / "job", good, good, "keras", seconds=PATIENCE_SECONDS)
    assert (ending.ended, bool(ending.read)) == ("ran", True), ending

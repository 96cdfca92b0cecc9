"""docs/security.md lists exactly the attacks in this package, with what the other tests here hold them to."""

from __future__ import annotations

from pathlib import Path

from app.errors import CATALOG
from tests.attacks.kit import GROUPS, INSIDE, all_attacks
from tests.attacks.table import PAGE, with_table

FEWEST, FEWEST_BREACHES = 45, 15


def test_the_page_has_the_table_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run: python -m tests.attacks"


def test_every_file_in_the_package_is_an_attack() -> None:
    files = {
        (group, path.stem)
        for group in GROUPS
        for path in (Path(__file__).parent / group).glob("*.py")
        if path.stem != "__init__"
    }
    assert {(found.group, found.name) for found in all_attacks()} == files
    assert len(files) >= FEWEST
    assert sum(found.attack.breaches for found in all_attacks()) >= FEWEST_BREACHES


def test_attacks_speak_of_codes_and_layers_that_there_are() -> None:
    assert {found.attack.code for found in all_attacks()} <= set(CATALOG)
    assert {found.attack.inside for found in all_attacks()} <= set(INSIDE)

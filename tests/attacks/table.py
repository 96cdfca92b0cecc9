"""The list of attacks as a table for docs/security.md, between two marks in it."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.kit import GROUPS, INSIDE, Found, all_attacks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- attacks: begin -->\n", "<!-- attacks: end -->"
TITLES = {
    "keras_archive": "`.keras` archives",
    "hdf5": "`.h5` files",
    "saved_model": "SavedModel archives",
    "batch": "Batches",
}


def rendered() -> str:
    """The tables of all groups, and what the words in their last column mean."""
    attacks = all_attacks()
    breaching = sum(found.attack.breaches for found in attacks)
    intro = f"{len(attacks)} attacks; {breaching} of them (†) reach a canary where they are opened without a cage.\n"
    tables = [_table(group, [found for found in attacks if found.group == group]) for group in GROUPS]
    words = "\n".join(f"- **{word}**: {meaning}." for word, meaning in INSIDE.items())
    return "\n".join([intro, *tables, words, ""])


def _table(group: str, attacks: list[Found]) -> str:
    rows = [
        f"| `{found.name}`{' †' if found.attack.breaches else ''} | {found.attack.tries} | `{found.attack.code}` "
        f"| {found.attack.inside} |"
        for found in attacks
    ]
    return "\n".join([f"**{TITLES[group]}**\n", "| attack | tries to | front door | in the cage |", "|---|---|---|---|",
                      *rows, ""])  # fmt: skip


def with_table(page: str) -> str:
    """A page with the table of today between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{rendered()}{END}{after}"

"""Writes the table of attacks into docs/security.md: `python -m tests.attacks`."""

from __future__ import annotations

from tests.attacks.table import PAGE, with_table

PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

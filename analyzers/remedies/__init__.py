"""What can be done: one file a remedy, naming the causes that it treats. A remedy's code is its file's name.

Each module has `TITLE`, `WHAT` (what it does, for the reference that is served under `/causes`), `TREATS` (codes of
causes), `explain(case, finding) -> str` and `snippet(case) -> str | None`; `FORM` where that depends on the case.
A remedy that changes stored statistics also has `paths(case, finding) -> list[str] | None`, the layers whose statistics
are taken anew (None for all); one that knows the statistics without data has `constants(case, finding)` instead.
`analyzers.verification` tries either. One that makes another architecture has `rebuild(model)`, which
`analyzers.instance_trial` tries. To add a remedy, add a file and its test.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from analyzers.case import Case, Finding
from analyzers.report import Verification


@dataclass(frozen=True)
class Remedy:
    """One registered remedy."""

    code: str
    title: str
    what: str
    treats: tuple[str, ...]
    module: Any

    def explain(self, case: Case, finding: Finding) -> str:
        """What to do and why, for the owner of the model."""
        return str(self.module.explain(case, finding))

    def heading(self, case: Case) -> str:
        """What to do in one line; the title, or what the module makes of the case."""
        made = getattr(self.module, "heading", None)
        return self.title if made is None else str(made(case))

    def verification(self, case: Case) -> Verification | None:
        """What a trial on the model said of advice that changes nothing in it; None where none was made."""
        made = getattr(self.module, "verification", None)
        found: Verification | None = None if made is None else made(case)
        return found

    @property
    def rebuild(self) -> Callable[[Any], Any] | None:
        """Builds another architecture from the model, where that is the remedy; it is tried, not served."""
        found: Callable[[Any], Any] | None = getattr(self.module, "rebuild", None)
        return found

    def snippet(self, case: Case) -> str | None:
        """Python to paste, or None where there is none."""
        text: str | None = self.module.snippet(case)
        return text

    @property
    def form(self) -> str | None:
        """What the snippet looks like in general, where it depends on the case."""
        found: str | None = getattr(self.module, "FORM", None)
        return found

    @property
    def tries(self) -> bool:
        """Whether a trial on the model, made while it was measured, can say something of the advice."""
        return hasattr(self.module, "verification")

    @property
    def constants(self) -> Callable[[Case, Finding], dict[str, Any]] | None:
        """New statistics by layer, where the remedy knows them without taking any from the sample."""
        found: Callable[[Case, Finding], dict[str, Any]] | None = getattr(self.module, "constants", None)
        return found

    @property
    def paths(self) -> Callable[[Case, Finding], list[str] | None] | None:
        """Which layers get new statistics, where the remedy changes any."""
        found: Callable[[Case, Finding], list[str] | None] | None = getattr(self.module, "paths", None)
        return found


@cache
def registered() -> tuple[Remedy, ...]:
    """All remedies, by code."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    modules = [(n, importlib.import_module(f"{__name__}.{n}")) for n in names]
    return tuple(Remedy(n, m.TITLE, m.WHAT, tuple(m.TREATS), m) for n, m in modules)


def for_cause(code: str) -> list[Remedy]:
    """The remedies that treat a cause."""
    return [r for r in registered() if code in r.treats]

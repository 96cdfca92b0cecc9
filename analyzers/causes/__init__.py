"""What can be wrong: one file a cause. A cause's code in the report is its file's name.

Each module has `TITLE`, `SOURCE` (where the mechanism is described), the words of the reference that is served under
`/causes` (`WHAT` it is, how it `LOOKS` in a report, what its pieces of `EVIDENCE` mean, what tells it from its
`LOOK_ALIKES`) and `judge(case) -> Finding | None`, a pure function of the measured numbers; where it applies,
`RESIDUAL = True` (it stands only where no specific cause does), `BENIGN = True` (it says what is as it should be, and
answers the question where no fault is loud) and `OUTSIDE = True` (a fault that no difference between the phases comes
from). To add a cause, add a file and its test; nothing else.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from analyzers.case import Case, Finding, Rival
from analyzers.causes._contest import contest as _contest
from analyzers.report import Severity


@dataclass(frozen=True)
class Cause:
    """One registered cause."""

    code: str
    title: str
    source: str
    what: str
    looks: str
    evidence: Mapping[str, str]
    look_alikes: Mapping[str, str]
    residual: bool
    benign: bool
    outside: bool
    module: Any

    def judge(self, case: Case) -> Finding | None:
        """The finding, or None where the cause is not present."""
        found: Finding | None = self.module.judge(case)
        return found


@cache
def registered() -> tuple[Cause, ...]:
    """All causes, by code."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    modules = [(n, importlib.import_module(f"{__name__}.{n}")) for n in names]
    return tuple(
        Cause(
            n,
            m.TITLE,
            m.SOURCE,
            m.WHAT,
            m.LOOKS,
            m.EVIDENCE,
            m.LOOK_ALIKES,
            getattr(m, "RESIDUAL", False),
            getattr(m, "BENIGN", False),
            getattr(m, "OUTSIDE", False),
            m,
        )
        for n, m in modules
    )


def contest(case: Case) -> list[Rival]:
    """The explanations that predict numbers, and how much of the divergence each predicts; best first."""
    return _contest(case)


SEVERITY_RANK: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}


def judge_all(case: Case) -> list[tuple[Cause, Finding]]:
    """Every cause that is present, most likely first: by severity, then confidence, then harm.

    A residual cause is what remains when nothing specific explains the gap: it stands only where no specific one does.
    Faults outside the phase explain none of it, and come after those of their severity that do where there is a gap.
    """
    found = [(c, f) for c in registered() if (f := c.judge(case)) is not None]
    specific = any(f.severity != "info" and not c.residual and not c.outside for c, f in found)
    found = [(c, f) for c, f in found if not (specific and c.residual)]
    gap = case.gap.significant
    return sorted(
        found,
        key=lambda cf: (
            SEVERITY_RANK[cf[1].severity],
            gap and cf[0].outside,
            -cf[1].confidence,
            -cf[1].harm,
            cf[0].code,
        ),
    )

"""What is done with a report or a problem: print it, write the pipeline's files, say how the command ends."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import Problem, problem_document
from app.extras import missing_extra
from app.shell.gate import EXIT_FINE, EXIT_GATE, EXIT_INPUT_AT_FAULT, EXIT_NO_ANSWER, FailOn, fails

NOT_AT_FAULT = ("unauthorized", "too_many_requests", "queue_full", "insufficient_storage", "worker_crashed", "internal")
"""Codes of problems that no other model, batch or option would have avoided."""


class NoAnswer(Exception):  # noqa: N818 - says a state
    """There is no report, and the input is not why."""


@dataclass(frozen=True)
class Delivery:
    """How the caller wants the outcome. `model` is what files name it by, `server` the one that explains causes."""

    model: str
    as_json: bool = False
    junit: Path | None = None
    sarif: Path | None = None
    fail_on: FailOn = FailOn.NEVER
    print_report: Callable[[dict[str, Any]], None] | None = None
    server: str | None = None

    def outcome_of(self, diagnose: Callable[[], dict[str, Any]]) -> int:
        """Run a diagnosis, deliver what comes of it, return the exit status."""
        try:
            report = diagnose()
        except Problem as problem:
            return self._problem(problem.document())
        except NoAnswer as error:
            return self._problem(problem_document("internal", str(error)) | {"title": "No answer"})
        except ModuleNotFoundError as error:
            if (advice := missing_extra(error.name)) is None:
                raise
            return self._problem(problem_document("internal", advice) | {"title": "No answer"})
        except Exception:
            traceback.print_exc()  # 1 would say that something was found
            return EXIT_NO_ANSWER
        return self._report(report)

    def _report(self, report: dict[str, Any]) -> int:
        from app.shell.junit import junit_of_report
        from app.shell.sarif import sarif_of_report

        _write(self.junit, lambda: junit_of_report(report, self.fail_on))
        _write(self.sarif, lambda: sarif_of_report(report, self.model, self.server))
        with _whoever_listens():
            if self.as_json:
                print(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False))
            else:
                self._print(report)
        if not fails(report, self.fail_on):
            return EXIT_FINE
        print(f"--fail-on {self.fail_on}: {report['verdict']}, {report['severity']}", file=sys.stderr)
        return EXIT_GATE

    def _problem(self, problem: dict[str, Any]) -> int:
        from app.shell.junit import junit_of_problem
        from app.shell.sarif import sarif_of_problem

        _write(self.junit, lambda: junit_of_problem(problem, self.model))
        _write(self.sarif, lambda: sarif_of_problem(problem, self.model))
        if self.as_json:
            print(json.dumps(problem))
        else:
            from app.terminal import print_problem

            print_problem(problem)
        return EXIT_NO_ANSWER if problem["code"] in NOT_AT_FAULT else EXIT_INPUT_AT_FAULT

    def _print(self, report: dict[str, Any]) -> None:
        from app.terminal import print_report

        (self.print_report or print_report)(report)


@contextmanager
def _whoever_listens() -> Iterator[None]:
    """Print inside. Who reads it may close the pipe before its end, as `head` does; the exit status is a gate all the
    same.
    """
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the latter is what rich makes of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path | None, content: Callable[[], bytes]) -> None:
    if path is not None:
        path.write_bytes(content())

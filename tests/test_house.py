"""The rules of the house, held by a test: what reviewers would otherwise have to say again and again."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("app", "analyzers", "phasegap", "examples", "benchmarks", "tools")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".sh", ".txt", ".html", ".css", ".js", ".yaml", ".yml", ".ini", ".mako"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
# Written in pieces so that this file does not break its own rules.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
ONE_MACHINE = re.compile(r"(?<![\w.])/(work|home|Users|root)" + "/" + r"|\.\./" + "shared")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "out" not in path.parts)


def texts() -> Iterator[Path]:
    """Everything under version control, and what is about to be, that a person reads."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and (path.suffix in TEXT_SUFFIXES or not path.suffix):
            yield path


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_too_long() -> None:
    lengths = {short(path): len(path.read_text().splitlines()) for path in sources(*CODE, "tests")}
    assert {name: length for name, length in lengths.items() if length >= LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{short(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1 - _docstring_lines(node)
        for path in sources(*CODE)
        if "migrations" not in path.parts  # a schema is one list of columns
        for node in functions(ast.parse(path.read_text()))
    }
    assert {name: length for name, length in lengths.items() if length >= LONGEST_FUNCTION} == {}


def _docstring_lines(node: Function) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def test_every_module_says_what_it_is_for() -> None:
    written = {short(path): text for path in sources(*CODE, "tests") if (text := path.read_text()).strip()}
    assert [name for name, text in written.items() if not ast.get_docstring(ast.parse(text))] == []


def test_nothing_is_left_for_later() -> None:
    assert [short(path) for path in texts() if UNFINISHED.search(path.read_text(errors="replace"))] == []


def test_nothing_names_one_machine() -> None:
    assert [short(path) for path in texts() if ONE_MACHINE.search(path.read_text(errors="replace"))] == []


@pytest.mark.parametrize("folder", ["causes", "remedies"])
def test_every_threshold_is_explained(folder: str) -> None:
    """A number that decides has its reason beside it: a comment on the line or above, or a string below."""
    bare = [f"{short(path)}:{line}" for path in sources(f"analyzers/{folder}") for line in _bare_thresholds(path)]
    assert bare == []


def _bare_thresholds(path: Path) -> Iterator[int]:
    lines = path.read_text().splitlines()
    body = ast.parse("\n".join(lines)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(node, ast.Assign | ast.AnnAssign) and _is_number(node.value)):
            continue
        within = any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
        beside = within or lines[node.lineno - 2].lstrip().startswith("#")
        below = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if not (beside or below):
            yield node.lineno


def _is_number(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


HEAVY = ("tensorflow", "keras", "numpy", "scipy", "h5py", "pyarrow")


@pytest.mark.parametrize("module", ["app.main", "app.cli", "app.services", "analyzers", "analyzers.report", "phasegap"])
def test_starts_without_the_analysis(module: str) -> None:
    """The web process and the command line start in a fraction of a second, and in a tenth of the memory."""
    program = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What a migration may do while processes of the version before still serve: add what they need not know of.

Expand and contract, as docs/upgrading.md says. A file that takes something away names in `CONTRACTS` since which
release nothing reads or writes it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TAKES_AWAY = {"drop_table", "drop_column", "rename_table", "drop_constraint", "alter_column", "drop_index"}
TIGHTENS = {"create_unique_constraint", "create_check_constraint", "create_foreign_key", "create_primary_key"}
TAKES_AWAY_SQL = re.compile(r"\b(DROP|RENAME|ALTER|TRUNCATE|DELETE|LOCK)\b", re.IGNORECASE)


def breaches(path: Path) -> list[str]:
    """What `upgrade()` of a migration does that the version before would not bear; empty where it only adds."""
    tree = ast.parse(path.read_text())
    upgrade = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade")
    calls = [node for node in ast.walk(upgrade) if isinstance(node, ast.Call)]
    new_tables = {_table(call) for call in calls if _name(call) == "create_table"}
    contracts = any(_assigns(node, "CONTRACTS") for node in tree.body)
    return (
        []
        if contracts
        else [f"{path.name}:{call.lineno}: {why}" for call in calls for why in _faults(call, new_tables)]
    )


def _faults(call: ast.Call, new_tables: set[str | None]) -> Iterator[str]:
    name, fresh = _name(call), _table(call) in new_tables
    if name in TAKES_AWAY:
        yield f"{name} takes away what the version before may use"
    elif name in TIGHTENS and not fresh:
        yield f"{name} may refuse what the version before writes"
    elif name == "create_index" and _says(call, "unique", True) and not fresh:
        yield "a unique index may refuse what the version before writes"
    elif name == "add_column" and any(_is_demanding(part) for part in ast.walk(call)):
        yield "add_column with nullable=False and no server_default: the version before does not fill it"
    elif name == "execute" and TAKES_AWAY_SQL.search(ast.unparse(call)):
        yield "this SQL takes away or locks what the version before may use"


def _is_demanding(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or _name(node) != "Column":
        return False
    return _says(node, "nullable", False) and not any(keyword.arg == "server_default" for keyword in node.keywords)


def _says(call: ast.Call, word: str, value: bool) -> bool:
    found = (keyword.value for keyword in call.keywords if keyword.arg == word)
    return any(isinstance(given, ast.Constant) and given.value is value for given in found)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _table(call: ast.Call) -> str | None:
    """The table that an operation is about: its first argument, or its second where the first names what is made."""
    position = 1 if _name(call) in TIGHTENS | {"create_index"} else 0
    given = call.args[position] if len(call.args) > position else None
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets)

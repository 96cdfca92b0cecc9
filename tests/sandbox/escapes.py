"""What a guest may try that a diagnosis never does. Each attempt returns normally only where it succeeded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from app.sandbox.room import Room
from tests.sandbox import escapes_files, escapes_processes

Attempts = Mapping[str, Callable[[Room], object]]

ATTEMPTS: Attempts = {
    name: attempt
    for module in (escapes_files, escapes_processes)
    for name, attempt in vars(module).items()
    if getattr(attempt, "__module__", "") == module.__name__ and not name.startswith("_")
}
"""No guest ever succeeds at these."""

OUTER: Attempts = {
    "see files outside": lambda room: os.stat(room.folder.parent / "canary"),
    "see other processes": lambda room: os.stat(f"/proc/{os.getppid()}"),
}
"""Only the walls that root can build keep a guest from these."""

CONTROL = {
    "wall_in_files": (
        "read_another_upload", "read_a_password_file", "read_the_upload_of_a_neighbour", "list_processes",
        "list_the_home_of_all_jobs", "write_beside_the_job", "change_the_upload", "read_the_first_process",
    ),
    "wall_in_calls": (
        "open_a_udp_socket", "make_a_socket_pair", "hide_memory", "date_what_is_outside",
        "open_what_is_outside_to_all", "own_what_is_outside", "watch_what_is_outside", "hold_the_parent",
        "limit_the_parent", "outlive_the_parent", "hide_shared_memory",
    ),
}  # fmt: skip
"""Harmless attempts that succeed where this wall and root's are away: that they fail elsewhere is its work."""


def successes(room: Room, attempts: Attempts = ATTEMPTS) -> list[str]:
    """The attempts that came through."""
    through = []
    for name, attempt in attempts.items():
        try:
            attempt(room)
        except (OSError, ValueError):
            continue
        through.append(name)
    return through

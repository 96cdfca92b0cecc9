"""GPUs for tests: a program called `nvidia-smi` that lists what it is told to, and nothing behind it."""

from __future__ import annotations

import os
from pathlib import Path

CLASS = "NVIDIA Test 24GB"
MEMORY_MIB = 24_000


def uuid(index: int) -> str:
    return f"GPU-0000000{index}-test"


def listing(folder: Path, count: int) -> Path:
    """Make the program in this folder; what it says stands in the file that is returned and may be changed."""
    folder.mkdir(exist_ok=True)
    said = folder / "listed.csv"
    said.write_text("".join(f"{index}, {uuid(index)}, {CLASS}, {MEMORY_MIB}\n" for index in range(count)))
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\nexec cat "{said}"\n')
    program.chmod(0o755)
    return said


def path_with(folder: Path) -> str:
    """A PATH on which it is found first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"

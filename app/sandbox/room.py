"""Where a guest lives and what it may use up: all that the steps into its cage are told."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import app
from app.sandbox.jobfolder import IN, OUT, SCRATCH, TASK
from app.sandbox.protocol import Limits


@dataclass(frozen=True)
class Room:
    """One guest's place.

    `uid` is the user and group that it is to become, no other guest's that lives at the same time, 0 for none.
    `promised` are the layers in words that the first guest had and this one must have too. Whoever `waits` is told to
    begin by its standard input.
    """

    folder: Path
    limits: Limits
    parent: int
    uid: int = 0
    promised: tuple[str, ...] = ()
    waits: bool = False

    @property
    def uploads(self) -> Path:
        """The model and the batch."""
        return self.folder / IN

    @property
    def task(self) -> Path:
        """What is to be done with them."""
        return self.folder / TASK

    @property
    def out(self) -> Path:
        """Where the host looks for what the guest has to say."""
        return self.folder / OUT

    @property
    def scratch(self) -> Path:
        """Where the guest may write what it likes."""
        return self.folder / SCRATCH


def leave(room: Room, name: str, text: str) -> None:
    """Write a file of a guest's for the host, whole or not at all."""
    draft = room.out / f"{name}.part"
    draft.write_text(text, encoding="utf-8")
    os.rename(draft, room.out / name)


def packages() -> list[Path]:
    """Where Python, its packages and this one stand: what a guest reads to run at all."""
    own = [Path(folder, name) for folder in app.__path__[:1] for name in (".", "../analyzers")]
    installed = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    return [Path(sys.prefix), Path(sys.base_prefix), *(folder.resolve() for folder in own), *installed]

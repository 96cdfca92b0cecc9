"""What holds a guest, in words: the layers that stand here, and what the first guest could do in spite of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

FILES, CALLS = "landlock", "seccomp"
"""The two outer walls, by the names of the kernel's means. Each is needed: what one lets through the other stops."""

KEPT_BY = {FILES: ("read outside", "write outside"), CALLS: ("start a process", "open a socket")}
"""What the first guest tries, and which wall it is to keep it from that."""

CANARY = "canary"
"""A file of the host's beside the first guest's job folder, which no guest may read."""


class Findings(BaseModel):
    """What the first guest found: the layers in words, and the attempts that came through."""

    model_config = ConfigDict(extra="forbid")

    held: list[str]
    escaped: list[str]

    def broken(self) -> list[str]:
        """Walls that are there and do not hold."""
        present = [wall for wall in KEPT_BY if any(words.startswith(wall) for words in self.held)]
        return [wall for wall in present if set(KEPT_BY[wall]) & set(self.escaped)]

    def __str__(self) -> str:
        held = ", ".join(self.held)
        return f"reduced (a guest can {', '.join(self.escaped)}): {held}" if self.escaped else f"full: {held}"

"""What holds a guest, in words: the layers that stand here, and what the first guest could do in spite of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["none", "inner", "full"]
"""*inner*: what needs no privilege and every current kernel has. *full*: also what only root can do. *none*: less."""

FILES, CALLS = "landlock", "seccomp"
"""The two inner walls, by the names of the kernel's means. Each is needed: what one lets through the other stops."""

USER, VIEW, NETWORK = "own user", "own view of files", "own network"
"""The outer walls."""

INNER, FULL = (FILES, CALLS), (FILES, CALLS, USER, VIEW, NETWORK)

KEPT_BY = {
    FILES: ("read outside", "write outside", "read about another process"),
    CALLS: ("start a process", "open a socket", "signal its parent"),
    VIEW: ("see files outside", "see other processes"),
    NETWORK: ("see the network",),
}
"""What the first guest tries, and which wall it is to keep it from that. A user of its own shows in the step itself."""

CANARY = "canary"
"""A file of the host's beside the first guest's job folder, which no guest may read."""


class Findings(BaseModel):
    """What the first guest found: the layers in words, and the attempts that came through."""

    model_config = ConfigDict(extra="forbid")

    held: list[str]
    escaped: list[str]

    @property
    def level(self) -> Level:
        """What they amount to."""
        if self._all(FULL):
            return "full"
        return "inner" if self._all(INNER) else "none"

    def _all(self, walls: tuple[str, ...]) -> bool:
        kept = {attempt for wall in walls for attempt in KEPT_BY.get(wall, ())}
        return all(self.has(wall) for wall in walls) and not kept & set(self.escaped)

    def has(self, wall: str) -> bool:
        """Whether a wall stands."""
        return any(words.startswith(wall) for words in self.held)

    def broken(self) -> list[str]:
        """Walls that are there and do not hold."""
        return [wall for wall in KEPT_BY if self.has(wall) and set(KEPT_BY[wall]) & set(self.escaped)]

    def shortfall(self, required: Level) -> str | None:
        """Why this is less than required and what to do, for the operator; None where it is not."""
        wanted: dict[Level, tuple[str, ...]] = {"none": (), "inner": INNER, "full": FULL}
        missing = [wall for wall in wanted[required] if not self.has(wall)]
        if not missing:
            return None
        could = f", so that a model could {', '.join(self.escaped)}" if self.escaped else ""
        return (
            f"guests are isolated less than PHASEGAP_ISOLATION_REQUIRED={required} asks for: missing here: "
            f"{', '.join(missing)}{could}. Run this where the kernel and the container offer it, or set "
            f"PHASEGAP_ISOLATION_REQUIRED={self.level} to serve all the same."
        )

    def __str__(self) -> str:
        level = "reduced" if self.level == "none" else self.level
        could = f" (a guest can {', '.join(self.escaped)})" if self.escaped else ""
        return f"{level}{could}: {', '.join(self.held)}"

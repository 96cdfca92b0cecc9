"""Jobs whose files cannot be had: the store does not answer, or an upload does not fit on this machine's disk.

Such a job goes back to the queue, and the slot that met it takes no other until that is mended. It counts as no crash:
an outage would else give up every job that is met, and a worker with a full disk fail the whole queue. It ends all the
same: an outage costs a job one run a slot, and one that goes on being failed is given up after a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from app.blobs.base import NoRoomError
from app.errors import StoreAway
from app.jobs.outages import outlast
from app.jobs.states import Claim, Ending
from app.services import Services

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 5.0
"""How often a slot looks whether it is mended."""
ROOM_PATIENCE_S = 60.0
"""How long a slot waits for room on the disk before it tries other jobs, which may be smaller."""
NEVER_REACHED = (
    "The files of this diagnosis could not be reached for too long, so it was given up. Model and batch are not why; "
    "send them again."
)
NO_ROOM = "The server ran out of disk space while it diagnosed this model. Try again later."

log = structlog.get_logger(__name__)


class Deferral:
    """Puts jobs off for one worker. `shutting_down` tells that nothing is waited for any more."""

    def __init__(self, services: Services, shutting_down: Callable[[], bool]) -> None:
        self._services = services
        self._shutting_down = shutting_down

    def put_off(self, claim: Claim, error: StoreAway) -> None:
        """Give the job back, or up. What this run may have put into the store counts for nothing. A database that is
        away, too, is waited for: a run that nobody gives back counts as a crash.
        """
        no_room = isinstance(error, NoRoomError)
        if claim.since_first_run_seconds > self._services.settings.store_patience_seconds:
            code, detail = ("insufficient_storage", NO_ROOM) if no_room else ("internal", NEVER_REACHED)
            ending = Ending("failed", error_code=code, error_detail=detail)
            self._outlast(lambda: self._services.lifecycle.settle(claim, ending))
            log.error("job_given_up_for_its_files", no_room=no_room)
        else:
            reason = "no_room" if no_room else "store_away"
            if self._outlast(lambda: self._services.lifecycle.put_off(claim, reason)):
                log.warning("job_put_off_for_its_files", no_room=no_room)
        self._services.blobs.remove_attempt(claim.id, claim.attempt)

    def _outlast(self, action: Callable[[], bool]) -> bool:
        return outlast(action, self._shutting_down)

    def wait_until_mended(self, error: StoreAway) -> None:
        """Wait until the store answers, and for a while until there is room for what did not fit."""
        needed_bytes = error.needed_bytes if isinstance(error, NoRoomError) else 0
        began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while not self._shutting_down():
            time.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
            has_room = self._services.blobs.free_bytes() > needed_bytes
            if self._store_answers() and (has_room or time.monotonic() - began_s > ROOM_PATIENCE_S):
                return

    def _store_answers(self) -> bool:
        try:
            self._services.blobs.probe()
        except StoreAway:
            return False
        return True

"""Following a diagnosis by its events until it ends, through broken connections and restarts of the service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx2

from phasegap.errors import Busy, NotFinishedInTime, ServiceFault, ServiceUnreachable
from phasegap.jobs import ENDED, Job
from phasegap.progress import Tell
from phasegap.transport import Transport

SILENCE_SECONDS = 60.0
"""Longer than the pause between two signs of life of an event stream: such a stream is dead."""
PAUSE_SECONDS = 0.5
PASSING = (httpx2.TransportError, ServiceUnreachable, ServiceFault, Busy)
"""What a restart of the service, or of something before it, looks like from here."""


class Follower:
    """Waits for one diagnosis."""

    def __init__(self, transport: Transport, diagnosis_id: str, seconds: float, tell: Tell) -> None:
        self._transport = transport
        self._id = diagnosis_id
        self._seconds = seconds
        self._until_s = time.monotonic() + seconds
        self._tell = tell
        self._last_event = ""
        self.on_note: Callable[[str], None] | None = None

    def ended_job(self) -> Job:
        """The job once it has ended.

        Raises:
            NotFinishedInTime: it has not, and the time is up.
            ServiceUnreachable: nobody has answered for as long as the transport's patience lasts.
        """
        heard_s = time.monotonic()
        while True:
            try:
                self._listen()
                job = Job.model_validate(self._transport.get(f"/diagnoses/{self._id}"))
                heard_s = time.monotonic()
                if job.ended:
                    return job
            except PASSING as error:
                if time.monotonic() - heard_s > self._transport.patience.retry_seconds:
                    raise (
                        self._transport.unreachable(error) if isinstance(error, httpx2.TransportError) else error
                    ) from error
            if time.monotonic() >= self._until_s:
                raise NotFinishedInTime(self._id, self._seconds)
            time.sleep(PAUSE_SECONDS)

    def _listen(self) -> None:
        """Tell each event, until the last one, the end of the stream or of the time."""
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            return
        path = f"/diagnoses/{self._id}/events"
        with self._transport.events(path, self._last_event, min(SILENCE_SECONDS, left_s)) as events:
            for event in events:
                self._last_event = event.id or self._last_event
                self._tell_of(event)
                if event.event in ENDED or time.monotonic() >= self._until_s:
                    return

    def _tell_of(self, event: httpx2.ServerSentEvent) -> None:
        try:
            data = json.loads(event.data)
        except ValueError:
            return
        if not isinstance(data, dict):
            return
        if self.on_note is not None and data.get("note"):
            self.on_note(str(data["note"]))
        self._tell(str(data.get("stage") or event.event), float(data.get("fraction") or 0.0))

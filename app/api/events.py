"""`/diagnoses/{id}/events`: what happens to a job as server-sent events, from the beginning or from where a client
was.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event

from app.api.context import Context, context_of
from app.api.diagnoses import DiagnosisId
from app.api.openapi import content, problems
from app.jobs.database import at
from app.jobs.models import Event
from app.jobs.states import ENDED

POLL_S = 0.25
EVENT_NUMBER = re.compile("[0-9]{1,9}")
DESCRIPTION = (
    "The events `queued`, `running`, `progress` and, as the last, `succeeded`, `failed` or `cancelled`. "
    "Each has the job's `status`, `stage` and `fraction`; one has a `note` of what the model file was found to be."
)

router = APIRouter(prefix="/diagnoses", tags=["diagnoses"])


@router.get(
    "/{diagnosis_id}/events",
    response_class=Response,  # not the class of the answer: FastAPI would take the function for its own generator
    responses=content("text/event-stream", DESCRIPTION, 'event: progress\nid: 3\ndata: {"stage": "measure"}\n\n')
    | problems("invalid_request", "not_found"),
)
async def get_events(
    request: Request,
    diagnosis_id: DiagnosisId,
    last_event_id: Annotated[str | None, Header(description="Where to read on, as browsers send it.")] = None,
) -> Response:
    """Progress until the job ends. A client that comes back with `Last-Event-ID` misses nothing and gets nothing
    twice.
    """
    context = context_of(request)
    await asyncio.to_thread(context.services.store.get, diagnosis_id)
    after = int(last_event_id) if last_event_id and EVENT_NUMBER.fullmatch(last_event_id) else 0
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_stream(context, diagnosis_id, after), headers=headers)


async def _stream(context: Context, diagnosis_id: str, after: int) -> AsyncIterator[bytes]:
    log, watch = context.services.events, context.watch
    silent_s = 0.0
    while not watch.stopping.is_set():
        ended = await asyncio.to_thread(context.services.store.ended_among, [diagnosis_id])
        for event in await asyncio.to_thread(log.after, diagnosis_id, after):
            after, silent_s = event.number, 0.0
            yield _frame(event)
            if event.kind in ENDED:
                return
        if ended:
            return  # the end was announced before `after`, or the diagnosis is gone
        if silent_s >= context.settings.event_keepalive_seconds:
            silent_s = 0.0
            yield b": still here\n\n"
        silent_s += POLL_S
        await watch.ended(diagnosis_id, POLL_S)


def _frame(event: Event) -> bytes:
    moment = at(event.at)
    data = {"id": event.diagnosis_id, "at": moment.isoformat() if moment else None, **event.data}
    return format_sse_event(data_str=json.dumps(data, allow_nan=False), event=event.kind, id=str(event.number))

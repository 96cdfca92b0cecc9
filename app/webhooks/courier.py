"""Brings deliveries to listeners, beside everything else that a web process does.

Each listener has a lane of its own, so that one that never answers keeps nobody waiting; database and name look-ups
have threads of their own, so that none of it keeps a request waiting.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog

from app.endpoints import WebhookEndpoint
from app.jobs.outbox import GONE, Outbox, Parcel
from app.settings import Settings
from app.webhooks.message import body_of, headers_of
from app.webhooks.sending import Answer, Sender

LOOK_S = 0.5
"""How often the outbox is looked at: an ending is told within about a second."""
TROUBLE_S = 5.0
"""Rest after a failure of ours, such as a database that is away."""
GROWTH = 4.0
LONGEST_WAIT_S = 6 * 3600.0
JITTER = (0.75, 1.25)
"""Spread of the waits, so that listeners which come back are not met by everything at once."""
LEASE_MARGIN_S = 5.0
"""How much longer than an attempt may take it is nobody else's: what the database takes."""
STATUS_GONE = 410

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Courier:
    """Delivers until it is cancelled. Starts nothing where nobody wants to be told."""

    def __init__(self, settings: Settings, outbox: Outbox) -> None:
        self._settings = settings
        self._outbox = outbox
        self._endpoints = settings.webhook_endpoints
        self._threads = ThreadPoolExecutor(len(self._endpoints) + 2, thread_name_prefix="webhooks")

    async def run(self) -> None:
        """Announce and deliver, again and again."""
        if not self._endpoints:
            return
        self._sender = Sender(self._settings.webhook_networks_allowed, self._settings.webhook_seconds, self._threads)
        listeners = {each.name: hashlib.sha256(each.url.encode()).hexdigest() for each in self._endpoints}
        try:
            await self._steadily(lambda: self._in_thread(partial(self._outbox.join, listeners)), once=True)
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._steadily(self._announce))
                for endpoint in self._endpoints:
                    lanes.create_task(self._steadily(partial(self._deliver, endpoint)))
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _steadily(self, step: Callable[[], Awaitable[bool | None]], *, once: bool = False) -> None:
        """Do it again at once where there was something to do, after a while where there was not, whatever happens."""
        while True:
            try:
                busy = await step()
            except Exception:
                log.exception("webhooks_failed")
                await asyncio.sleep(TROUBLE_S)
                continue
            if once:
                return
            await asyncio.sleep(0.0 if busy else LOOK_S)

    async def _announce(self) -> bool:
        names = [endpoint.name for endpoint in self._endpoints]
        return await self._in_thread(partial(self._outbox.announce, names)) > 0

    async def _deliver(self, endpoint: WebhookEndpoint) -> bool:
        """Try one delivery; False where none is due."""
        lease_s = self._settings.webhook_seconds + LEASE_MARGIN_S
        parcel = await self._in_thread(partial(self._outbox.take, endpoint.name, lease_s))
        if parcel is None:
            return False
        body = body_of(parcel.diagnosis, self._settings.public_url)
        headers = headers_of(parcel.diagnosis, body, endpoint.secrets, time.time())
        answer = await self._sender.send(endpoint.url, headers, body)
        await self._in_thread(partial(self._conclude, endpoint.name, parcel, answer))
        return True

    def _conclude(self, name: str, parcel: Parcel, answer: Answer) -> None:
        facts = {
            "endpoint": name,
            "delivery": parcel.id,
            "diagnosis_id": parcel.diagnosis.id,
            "attempt": parcel.attempt,
        }
        if answer.is_arrival:
            self._outbox.delivered(parcel, answer.status or 0)
            log.info("webhook_delivered", **facts, status=answer.status)
            return
        if answer.status == STATUS_GONE:
            self._outbox.bury(parcel, answer.status, GONE)
            self._outbox.disable(name)
            log.warning("webhook_endpoint_gone", **facts)
        elif parcel.attempt >= self._settings.webhook_attempts_limit:
            self._outbox.bury(parcel, answer.status, answer.reason)
            log.warning("webhook_dead", **facts, reason=answer.reason)
        else:
            wait_s = max(answer.retry_after_s, self.wait_seconds(parcel.attempt))
            self._outbox.postpone(parcel, answer.status, answer.reason, wait_s)
            log.info("webhook_postponed", **facts, reason=answer.reason, wait_s=round(wait_s, 1))

    def wait_seconds(self, attempt: int) -> float:
        """How long to wait after a failed attempt, counted from 1."""
        grown_s = self._settings.webhook_retry_seconds * GROWTH ** min(attempt - 1, 20)
        return min(LONGEST_WAIT_S, grown_s) * random.uniform(*JITTER)  # noqa: S311 - spreads, keeps no secret

    async def _in_thread(self, action: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, action)

"""A database that is away: how connections notice, which errors say so, and how to wait until it is back.

Without being told otherwise TCP waits a quarter of an hour for an answer from a host that was cut off, and PostgreSQL
keeps the transaction of a client that was frozen, locks and all, for as long as it stays so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

SILENCE_S = 10
"""How long the other side may leave packets unanswered: half of the default lease, so that who is cut off notices
before others take over, and who is not cut off has the time that a switch needs to find another way."""

CONNECT = {
    "connect_timeout": SILENCE_S // 2,
    "keepalives_idle": SILENCE_S // 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": SILENCE_S * 1000,
}
"""What libpq is asked for, unless the URL says otherwise."""

SESSION = (
    f"SET idle_in_transaction_session_timeout = '{SILENCE_S}s'",
    f"SET tcp_keepalives_idle = {SILENCE_S // 2}",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
    f"SET tcp_user_timeout = '{SILENCE_S}s'",
)
"""What the server is asked for: it lets go of clients that are gone, and of transactions that nobody goes on with."""

PAUSE_S = 0.5
AWAY = ("08", "57P")
"""Classes of SQLSTATE: the connection failed; the server is shutting down or starting up."""

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


def connect_arguments(url: str) -> dict[str, Any]:
    """What to give to the driver beside the URL."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "postgresql":
        return {}
    return {name: value for name, value in CONNECT.items() if name not in parsed.query}


def prepare_session(connection: Any, _record: Any) -> None:
    """For a new connection to PostgreSQL. Committed, because the pool rolls back what it gets back."""
    with connection.cursor() as cursor:
        for statement in SESSION:
            cursor.execute(statement)
    connection.commit()


def is_away(error: BaseException) -> bool:
    """Whether the database could not be reached, as opposed to refusing what was asked of it."""
    if isinstance(error, sa.exc.TimeoutError):  # every connection of the pool waits for an answer
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", "of SQLite")
    return isinstance(error, OperationalError) and (state is None or state.startswith(AWAY))


def outlast(action: Callable[[], Result], give_up: Callable[[], bool]) -> Result:
    """What an action gives, tried again for as long as the database is away and nobody says to give up.

    The action must bear being done twice: a connection may break after the commit and before the answer.
    """
    told = False
    while True:
        try:
            return action()
        except Exception as error:
            if not is_away(error) or give_up():
                raise
            if not told:
                log.warning("database_away", reason=str(error)[:500])
                told = True
            time.sleep(PAUSE_S)

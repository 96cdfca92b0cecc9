"""Logs: one line an event to stderr, JSON by default. Values are escaped by the renderer, so hostile names stay
inert.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

from app.inert import spelled_out
from app.settings import Settings

MANY_LINES = ("exception", "stack")


def configure_logs(settings: Settings, process: str) -> None:
    """Send our events and the libraries' log records down one pipe."""
    shared: list[Any] = [
        _naming(process),
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_render(settings)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    _tame_libraries()


def _naming(process: str) -> Any:
    """Name the process on every line, of whatever thread."""

    def name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return name


def add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the trace that the line belongs to, where there is one."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        event["trace_id"] = trace.format_trace_id(current.trace_id)
        event["span_id"] = trace.format_span_id(current.span_id)
    return event


def _render(settings: Settings) -> list[Any]:
    bare = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if settings.log_format == "json":
        return [bare, structlog.processors.JSONRenderer()]
    return [bare, make_inert, structlog.dev.ConsoleRenderer()]


def make_inert(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Spell out what would move a terminal's cursor, change colours or turn its text around. JSON does by itself."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = spelled_out(value, "\n\t" if name in MANY_LINES else "")
    return event


def _tame_libraries() -> None:
    for name in ("alembic", "dbos", "sqlalchemy", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("dbos", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True

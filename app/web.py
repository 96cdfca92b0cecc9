"""The web process: the application under uvicorn, on a socket that the supervisor keeps open across its restarts."""

from __future__ import annotations

import socket
from types import FrameType

import uvicorn

from app.main import create_app
from app.settings import Settings
from app.traces import end_traces
from app.wire import BoundedProtocol


class _Server(uvicorn.Server):
    """Wakes up whoever waits for a job when it is told to stop, so that they are answered and not cut off."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        context = getattr(getattr(self.config.app, "state", None), "context", None)
        if context is not None:
            context.watch.stop_soon()
            context.services.blobs.hurry_when(lambda: True)
        self.should_exit = True  # and no more: uvicorn would raise the signal again at the end, and exit by it


def serve_web(settings: Settings, listener: socket.socket) -> int:
    """Answer requests until SIGTERM; 0 after an orderly end."""
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        http=BoundedProtocol,
        h11_max_incomplete_event_size=settings.head_limit_bytes,
        ws="none",
        timeout_graceful_shutdown=max(1, int(settings.shutdown_seconds * 0.5)),
        timeout_keep_alive=30,
    )
    server = _Server(config)
    server.run(sockets=[listener])
    end_traces()
    return 0 if server.started else 1

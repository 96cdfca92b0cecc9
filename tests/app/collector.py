"""A collector of traces for tests: a real OTLP/HTTP receiver on loopback that reads what it is sent."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span as it arrived, its ids in hexadecimal."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    process: str
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    status: int
    kind: int


class Collector:
    """Listens, and keeps the spans. `silent`: takes requests and never answers them."""

    def __init__(self, *, silent: bool = False) -> None:
        self.spans: list[Seen] = []
        self.requests = 0
        self._let_go = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.requests += 1
                if silent:
                    collector._let_go.wait(60)
                    return
                assert self.headers["content-type"] == "application/x-protobuf"
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def endpoint(self) -> str:
        return f"{self.base}/v1/traces"

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_seen(span, str(about["phasegap.process"])) for span in scope.spans]

    def wait(self, condition: Callable[[list[Seen]], bool], seconds: float = 20) -> list[Seen]:
        """The spans, once the condition holds of them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition(list(self.spans)):
                return list(self.spans)
            time.sleep(0.05)
        raise AssertionError(f"not within the time: {[s.name for s in self.spans]}")

    def close(self) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()


def _seen(span: Any, process: str) -> Seen:
    return Seen(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), process,
        span.start_time_unix_nano, span.end_time_unix_nano, _plain(span.attributes), span.status.code, span.kind,
    )  # fmt: skip


def _plain(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}

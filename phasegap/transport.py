"""HTTP to a service: errors become exceptions, and what the service asks to have sent again later is sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from phasegap.errors import Problem, ServiceUnreachable, problem_of
from phasegap.retry_after import seconds_of

TRY_LATER = (429, 503, 507)
CONNECT_SECONDS = 10.0
DEFAULT_PAUSE_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.1  # a Retry-After of 0 must not become a storm
SEEN_CHARACTERS = 200  # of an answer that is no problem document


@dataclass(frozen=True)
class Patience:
    """How long an answer may take, and for how long in all a busy or broken service is asked again."""

    answer_seconds: float = 300.0
    retry_seconds: float = 120.0


class Transport:
    """One connection pool to one service."""

    def __init__(self, url: str, api_key: str | None, patience: Patience) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        headers = {"Accept": "application/json", "User-Agent": "phasegap-client"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        timeout = httpx2.Timeout(patience.answer_seconds, connect=CONNECT_SECONDS)
        self._http = httpx2.Client(
            base_url=self.url, headers=headers, timeout=timeout, trust_env=not _is_this_machine(self.url)
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """One JSON answer."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._json(self.send(lambda: self._http.get(path, params=given)))

    def delete(self, path: str) -> None:
        """Remove what is there."""
        self.send(lambda: self._http.delete(path))

    def post(self, path: str, headers: dict[str, str], fields: dict[str, str], files: Callable[[], Any]) -> Any:
        """Send a form; `files` is a context manager, entered anew for each attempt."""

        def attempt() -> httpx2.Response:
            with files() as opened:
                return self._http.post(path, headers=headers, data=fields, files=opened)

        return self._json(self.send(attempt))

    def save(self, path: str, target: Path, media_type: str = "application/octet-stream") -> None:
        """The body of an answer as a file, which appears when it is whole."""
        self.send(lambda: self._save(path, target, media_type))

    @contextmanager
    def events(self, path: str, after: str, wait_seconds: float) -> Iterator[httpx2.EventSource]:
        """An event stream from `after` on; silence for longer than `wait_seconds` ends it."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        timeout = httpx2.Timeout(wait_seconds, connect=CONNECT_SECONDS)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise _problem(response)
            yield httpx2.EventSource(response)

    def send(self, attempt: Callable[[], httpx2.Response]) -> httpx2.Response:
        """The answer, asked for again while the service is busy or the connection breaks, within the patience."""
        until_s = time.monotonic() + self.patience.retry_seconds
        while True:
            try:
                response = attempt()
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                raise self.unreachable(error) from error
            except httpx2.TransportError as error:
                if time.monotonic() + DEFAULT_PAUSE_SECONDS >= until_s:
                    raise self.unreachable(error) from error
                time.sleep(DEFAULT_PAUSE_SECONDS)
                continue
            if not response.is_error:
                return response
            pause = _pause(response)
            if pause is None or time.monotonic() + pause >= until_s:
                raise _problem(response)
            time.sleep(pause)

    def unreachable(self, error: Exception) -> ServiceUnreachable:
        """What to say where nobody answers."""
        advice = "Is the service running, and the address right?"
        return ServiceUnreachable(f"Nothing answers at {self.url} ({error}). {advice}")

    def _save(self, path: str, target: Path, media_type: str) -> httpx2.Response:
        unfinished = target.with_name(f"{target.name}.part")
        with self._http.stream("GET", path, headers={"Accept": media_type}) as response:
            if response.is_error:
                response.read()
                return response
            try:
                with unfinished.open("wb") as out:
                    for chunk in response.iter_bytes():
                        out.write(chunk)
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)
        return response

    def _json(self, response: httpx2.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            shown = response.text[:SEEN_CHARACTERS]
            raise ServiceUnreachable(f"{self.url} answered, but not as PhaseGap does: {shown!r}") from error


def _is_this_machine(url: str) -> bool:
    """Whether a proxy from the environment could not lead there."""
    return httpx2.URL(url).host in ("localhost", "127.0.0.1", "::1")


def _problem(response: httpx2.Response) -> Problem:
    """The answer's problem document; of an answer from somebody in between, what can be said about it."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and "code" in document:
        return problem_of(document)
    known = {401: "unauthorized", 404: "not_found", 413: "payload_too_large", 429: "too_many_requests"}
    detail = f"{response.request.url} answered {response.status_code}: {response.text[:SEEN_CHARACTERS]}"
    return problem_of({"code": known.get(response.status_code, "internal"), "status": response.status_code,
                       "title": "Not the service, but something before it answered", "detail": detail})  # fmt: skip


def _pause(response: httpx2.Response) -> float | None:
    """Seconds until the request may be sent again, None where it must not."""
    if response.status_code not in TRY_LATER:
        return None
    said = response.headers.get("retry-after")
    if said is None:
        return None
    seconds = seconds_of(said)
    return DEFAULT_PAUSE_SECONDS if seconds is None else max(seconds, SHORTEST_PAUSE_SECONDS)

"""What a URI may look like, and whether the operator's allow-list has it.

A URI is taken apart once; what is asked for later is put together from the parts, so that no two parsers can see two
different hosts in it. Prefixes are compared by parts, too: `https://models.example.org` does not allow
`https://models.example.org.evil.net`, nor does `s3://bucket/models` allow `s3://bucket/models-private`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

DEFAULT_PORTS = {"https": 443, "http": 80}
BUCKETS = ("s3", "gs")
MLFLOW = ("models", "runs")
SCHEMES = (*DEFAULT_PORTS, *BUCKETS, *MLFLOW)
LONGEST = 8192
"""Characters. A presigned URL with a session's token has about 2,000."""
SHOWN = 200
HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
WRITTEN = re.compile(r"[!-~]+")
HIDDEN = re.compile(r"%(2f|5c|25|00)", re.IGNORECASE)
"""A slash, a backslash, a percent sign and a zero, encoded: a server may take them for what they stand for."""


class BadUriError(ValueError):
    """It is none that could be fetched here; the message says what would be right."""


@dataclass(frozen=True)
class Uri:
    """A URI in parts. `host` is a bucket for object stores and empty for MLflow; `path` begins with a slash."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def shown(self) -> str:
        """What may be told of it: a query may hold a secret."""
        return f"{self.place}{self.path}"[:SHOWN]

    @property
    def place(self) -> str:
        """Scheme, host and, if it is not the usual one, the port."""
        if self.scheme in MLFLOW:
            return f"{self.scheme}:"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port != DEFAULT_PORTS.get(self.scheme, 0) else "")

    @property
    def segments(self) -> list[str]:
        path = self.path.replace("@", "/") if self.scheme == "models" else self.path
        return [unquote(part) if self.scheme in DEFAULT_PORTS else part for part in path.split("/") if part]


def parse_uri(text: str) -> Uri:
    """The URI in parts.

    Raises:
        BadUriError: it has another scheme, credentials, or parts that could be read in two ways.
    """
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        raise BadUriError(f"it must begin with one of {', '.join(_beginning(name) for name in SCHEMES)}")
    if len(text) > LONGEST or "\\" in text or "#" in text or not text.isprintable():
        raise BadUriError(
            f"it has a backslash, a `#`, a character that cannot be printed, or more than {LONGEST} of them"
        )
    if scheme in DEFAULT_PORTS:
        return _web(scheme, f"{scheme}:{rest}")
    if "?" in rest:
        raise BadUriError(f"a `{_beginning(scheme)}` URI has no `?`")
    return _checked(_in_bucket(scheme, rest) if scheme in BUCKETS else _in_mlflow(scheme, rest))


def _beginning(scheme: str) -> str:
    return f"{scheme}:/" if scheme in MLFLOW else f"{scheme}://"


def _web(scheme: str, text: str) -> Uri:
    if not WRITTEN.fullmatch(text):
        raise BadUriError("what is not ASCII must be percent-encoded in it, spaces too")
    try:
        parts = urlsplit(text)
        port = parts.port or DEFAULT_PORTS[scheme]
    except ValueError as error:
        raise BadUriError("it is not well-formed") from error
    if "@" in parts.netloc:
        raise BadUriError("it has a user name or a password before the host; leave them out")
    host = (parts.hostname or "").rstrip(".")
    if not (HOST.fullmatch(host) or _is_ipv6(host)):
        raise BadUriError("it has no valid host name")
    if HIDDEN.search(parts.path):
        raise BadUriError("its path has an encoded slash, backslash, percent sign or zero")
    return _checked(Uri(scheme, host, port, parts.path or "/", parts.query))


def _is_ipv6(host: str) -> bool:
    try:
        return "%" not in host and bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False


def _in_bucket(scheme: str, rest: str) -> Uri:
    bucket, _, key = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not BUCKET.fullmatch(bucket):
        raise BadUriError(f"it must be {scheme}://bucket/name")
    return Uri(scheme, bucket, 0, f"/{key}")


def _in_mlflow(scheme: str, rest: str) -> Uri:
    if not rest.startswith("/") or rest.startswith("//"):
        raise BadUriError(f"it must begin with {scheme}:/ and one slash; the tracking server is the operator's choice")
    return Uri(scheme, "", 0, rest)


def _checked(uri: Uri) -> Uri:
    if any(segment in (".", "..") for segment in uri.segments):
        raise BadUriError("its path has `.` or `..` in it")
    return uri


class AllowList:
    """What the operator lets be fetched."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._everywhere = {_web_scheme(prefix) for prefix in prefixes} - {None}
        self._prefixes = [parse_prefix(prefix) for prefix in prefixes if _web_scheme(prefix) is None]

    def __bool__(self) -> bool:
        return bool(self._prefixes or self._everywhere)

    def has(self, uri: Uri) -> bool:
        """Whether the URI lies under a prefix: same scheme, host and port, and whole parts of the path."""
        if uri.scheme in self._everywhere and uri.port == DEFAULT_PORTS[uri.scheme]:
            return True
        return any(
            (prefix.scheme, prefix.host, prefix.port) == (uri.scheme, uri.host, uri.port)
            and uri.segments[: len(prefix.segments)] == prefix.segments
            for prefix in self._prefixes
        )


def _web_scheme(prefix: str) -> str | None:
    """`https` for `https://` alone: every host, on the usual port."""
    return next((scheme for scheme in DEFAULT_PORTS if prefix.strip().lower() == f"{scheme}://"), None)


def parse_prefix(prefix: str) -> Uri:
    """An entry of the allow-list; BadUriError says what is wrong with it."""
    uri = parse_uri(prefix.strip())
    if uri.query:
        raise BadUriError("a prefix has no `?`")
    return uri


def check_prefix(prefix: str) -> str:
    """The entry as it is, or ValueError with what is wrong with it: for the settings."""
    if _web_scheme(prefix) is None:
        try:
            parse_prefix(prefix)
        except BadUriError as error:
            raise ValueError(f"{prefix!r} is no prefix of URIs: {error}") from error
    return prefix

"""Bearer tokens of an OpenID Connect issuer: whose they are, whether they are good, which roles they bring.

The issuer is the operator's choice, its addresses are judged all the same (`app.addresses`): its name and the place of
its keys, which it names itself, must not lead into the operator's own network unless that was allowed. Keys are kept
and fetched again when they are old, or when a token names one that is not among them, though not more often than every
`PAUSE_SECONDS`: tokens are made up by strangers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from app.addresses import Address
from app.callers import Caller, Quota, Role
from app.errors import NotReady, Unauthorized
from app.fetching.addresses import Guard
from app.fetching.web import FetchFailedError, opened
from app.inert import is_seen
from app.tenancy_settings import TenancySettings
from app.uris import Uri, parse_uri

FRESH_SECONDS = 600.0
"""Age after which keys are fetched again: how long a key that the issuer has withdrawn may still be good."""
STALE_SECONDS = 3600.0
"""Age up to which keys are good while the issuer does not answer."""
PAUSE_SECONDS = 10.0
FETCH_SECONDS = 10.0
ANSWER_LIMIT_BYTES = 1024 * 1024
LEEWAY_SECONDS = 60
"""How far the issuer's clock may be from ours."""
NAME_LIMIT = 100
DISCOVERY = "/.well-known/openid-configuration"
NAME_CLAIMS = ("preferred_username", "email", "sub")
REFUSED = (
    "This token is not taken: {reason}. It must be signed by {issuer} for the audience {audience}, and be current."
)

log = structlog.get_logger(__name__)


class IssuerGuard(Guard):
    """Public addresses by TLS only; those that were allowed without, too."""

    def __init__(self, settings: TenancySettings, *, encrypted: bool) -> None:
        super().__init__(settings.oidc_networks_allowed)
        self._encrypted = encrypted

    def allows(self, address: Address) -> bool:
        return super().allows(address) if self._encrypted else self.is_named(address)


class Issuer:
    """Judges tokens. Holds the issuer's keys."""

    def __init__(self, settings: TenancySettings, quota: Quota) -> None:
        assert settings.oidc_issuer is not None
        self._settings, self._quota, self._name = settings, quota, settings.oidc_issuer
        self._guards = {each: IssuerGuard(settings, encrypted=each) for each in (True, False)}
        self._keys: KeySet | None = None
        self._fetched_s = self._tried_s = float("-inf")
        self._fetching = asyncio.Lock()
        exactly = {"essential": True, "value": self._name}
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss=exactly,  # type: ignore[arg-type]  # a TypedDict, of which this is one
            aud={"essential": True, "value": settings.oidc_audience or ""},
            exp={"essential": True},
            sub={"essential": True, "allow_blank": False},
        )

    async def caller_of(self, token: str) -> Caller:
        """Who the token is for.

        Raises:
            Unauthorized: it is not good, and why.
            NotReady: the issuer's keys are not to be had.
        """
        try:
            claims = await self._judged(token)
        except (JoseError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise self._refusal(error) from error
        subject = str(claims["sub"])
        owner = hashlib.sha256(f"{self._name}\n{subject}".encode(errors="replace")).hexdigest()[:32]
        name = next((value for each in NAME_CLAIMS if isinstance(value := claims.get(each), str) and value), subject)
        shown = "".join(char for char in name if is_seen(char))[:NAME_LIMIT]
        return Caller(f"oidc_{owner}", roles_of(claims, self._settings), "oidc", shown, self._quota)

    async def _judged(self, token: str) -> dict[str, Any]:
        keys, algorithms = await self._current(), list(self._settings.oidc_algorithms)
        try:
            decoded = jwt.decode(token, keys, algorithms=algorithms)
        except InvalidKeyIdError:  # one that has come since, or that never was
            keys = await self._current(beyond=keys)
            decoded = jwt.decode(token, keys, algorithms=algorithms)
        self._claims.validate(decoded.claims)
        return decoded.claims

    def _refusal(self, error: Exception) -> Unauthorized:
        reason = getattr(error, "description", "") or getattr(error, "error", "") or "it cannot be read"
        shown = "".join(char for char in str(reason) if is_seen(char))[:200].rstrip(".")
        detail = REFUSED.format(reason=shown, issuer=self._name, audience=self._settings.oidc_audience)
        return Unauthorized(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    async def _current(self, beyond: KeySet | None = None) -> KeySet:
        """The issuer's keys; `beyond` these, if there are newer ones and it may be asked again already."""
        if self._keys is not None and beyond is None and time.monotonic() - self._fetched_s <= FRESH_SECONDS:
            return self._keys  # without waiting for a look-up that a made-up token has caused
        async with self._fetching:
            now_s = time.monotonic()
            is_old = now_s - self._fetched_s > FRESH_SECONDS
            is_known = beyond is not None and self._keys is beyond
            if (is_old or is_known) and now_s - self._tried_s > PAUSE_SECONDS:
                self._tried_s = now_s
                await self._fetch()
            if self._keys is None or now_s - self._fetched_s > STALE_SECONDS:
                raise NotReady(
                    "The issuer of tokens does not answer, so none can be judged. Try again later.",
                    headers={"Retry-After": str(int(PAUSE_SECONDS))},
                )
            return self._keys

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                document = await self._document(self._settings.oidc_jwks_url or await self._discovered())
            kept = [key for key in document["keys"] if isinstance(key, dict) and key.get("use", "sig") == "sig"]
            self._keys, self._fetched_s = KeySet.import_key_set({"keys": kept}), time.monotonic()
        except (FetchFailedError, TimeoutError, JoseError, ValueError, TypeError, LookupError) as error:
            log.warning("issuer_keys_not_fetched", reason=str(error)[:300] or type(error).__name__)

    async def _discovered(self) -> str:
        found = await self._document(self._name.rstrip("/") + DISCOVERY)
        if found.get("issuer") != self._name:
            raise FetchFailedError("its configuration names another issuer")
        return str(found["jwks_uri"])

    async def _document(self, address: str) -> dict[str, Any]:
        uri, body = parse_uri(address), bytearray()
        if uri.scheme not in ("https", "http"):
            raise FetchFailedError("its keys are not at an address of the web")
        async with opened(uri, self._guards[uri.scheme == "https"], _stay) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > ANSWER_LIMIT_BYTES:
                    raise FetchFailedError("it answered with more than is read")
        with suppress(RecursionError):
            if isinstance(document := json.loads(body), dict):
                return document
        raise FetchFailedError("it did not answer with a JSON object")


def _stay(uri: Uri) -> None:
    raise FetchFailedError("it redirected, which is not followed")


def looks_like_token(sent: bytes) -> bool:
    """Whether this is in the form of a signed token: three parts, of which the first is a JSON object."""
    return sent.startswith(b"eyJ") and sent.count(b".") == 2


def roles_of(claims: Mapping[str, Any], settings: TenancySettings) -> frozenset[Role]:
    """The roles that the claim brings; what is none of ours gives nothing."""
    found: Any = claims
    for part in settings.oidc_roles_claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    words = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(role for role in Role if f"{settings.oidc_role_prefix}{role}" in words)

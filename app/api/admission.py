"""Who is let in: a key of the settings or the database, a token of the issuer; anybody where none is asked for."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers

from app.callers import ANYBODY, Caller, Role
from app.errors import Unauthorized
from app.services import Services
from app.tenancy.issuer import Issuer, looks_like_token
from app.tenancy.keyring import Snapshot
from app.tenancy.keys import digest_of
from app.tenancy.usage import default_quota

SECRETLESS = "Send an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`."
UNKNOWN = f"This key is not known, has expired or was revoked. {SECRETLESS}"
CHALLENGE = {"WWW-Authenticate": 'Bearer, Basic realm="PhaseGap", charset="UTF-8"'}
OPERATORS_KEY = "a key of the settings"


class Admission:
    """Tells callers by what they send."""

    def __init__(self, services: Services) -> None:
        settings = self._settings = services.settings
        self._keyring = services.keyring
        self._quota = default_quota(settings)
        self._issuer = Issuer(settings, self._quota) if settings.oidc_issuer else None
        self._always = bool(settings.keys_required or settings.api_key_hashes or settings.oidc_issuer)

    async def keys(self) -> Snapshot:
        """The keys of the database as they are now."""
        return await self._keyring.current()

    def asks_for_keys(self, keys: Snapshot) -> bool:
        """Whether a key is needed. From the first one on it is, though all be revoked."""
        return self._always or keys.any_was_made

    async def caller_of(self, headers: Headers, keys: Snapshot) -> Caller:
        """Who sends these headers, or Unauthorized."""
        if not self.asks_for_keys(keys):
            return ANYBODY
        sent = sent_key(headers)
        operator = operator_of(sent, self._settings.api_key_hashes)
        if operator is not None:
            return operator
        key = keys.key(digest_of(sent))
        if key is not None:
            return Caller(key.owner, key.role_set, key.id, key.name, key.quota(self._quota))
        if self._issuer is not None and looks_like_token(sent):
            return await self._issuer.caller_of(sent.decode("latin-1"))
        raise Unauthorized(UNKNOWN if sent else SECRETLESS, headers=CHALLENGE)


def operator_of(sent: bytes, accepted: Collection[str]) -> Caller | None:
    """The caller with a key of the settings: whoever sets those runs the service, and may do everything."""
    digest = digest_of(sent)
    matches = [hmac.compare_digest(digest, known) for known in accepted]  # all of them: the time tells nothing
    return Caller(digest[:16], frozenset({Role.ADMIN}), digest[:16], OPERATORS_KEY) if any(matches) else None


def sent_key(headers: Headers) -> bytes:
    """The key in `Authorization` (Bearer, or Basic's password as browsers send it) or `X-API-Key`, as it was sent."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")  # a header's bytes are read as Latin-1, whatever they meant
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value.strip()).partition(b":")[2]
    return headers.get("x-api-key", "").strip().encode("latin-1")

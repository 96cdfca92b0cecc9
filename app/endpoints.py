"""Who is told when a diagnosis ends: an endpoint as its operator writes it down, checked before anything is sent."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with, none itself
SECRET_BYTES = (24, 64)
"""How long Standard Webhooks wants a secret to be, once decoded."""


class WebhookEndpoint(BaseModel):
    """A URL that wants to know, and the secret that proves to it who speaks. `previous_secret` signs, too, while
    receivers change over to a new one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("default", pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    url: str = Field(max_length=2000)
    secret: SecretStr
    previous_secret: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or not value.isascii():
            raise ValueError("a webhook's `url` is https://host/path, in ASCII")
        if parts.username is not None or parts.fragment:
            raise ValueError("a webhook's `url` holds neither a user nor a fragment; the signature says who speaks")
        if parts.port == 0:
            raise ValueError("a webhook's `url` names port 0")
        return value

    @field_validator("secret", "previous_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_secret(value.get_secret_value()):
            raise ValueError(f"a webhook's secret is `{SECRET_PREFIX}` and 24 to 64 random bytes in base64")
        return value

    @property
    def origin(self) -> str:
        """Where it is, without the path, which may be a secret of its own."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def secrets(self) -> list[str]:
        """What to sign with, the current one first."""
        found = [self.secret, self.previous_secret]
        return [secret.get_secret_value() for secret in found if secret is not None]


def _is_secret(text: str) -> bool:
    if not text.startswith(SECRET_PREFIX):
        return False
    try:
        decoded = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return SECRET_BYTES[0] <= len(decoded) <= SECRET_BYTES[1]

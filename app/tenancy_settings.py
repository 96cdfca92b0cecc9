"""Settings of who may do what, and how much of it. Part of `app.settings`; nothing else builds on this."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a key pair. With a shared secret whoever checks tokens could make them."""
AUDIT_KEPT_DAYS_AT_LEAST = 30
"""The database itself refuses to remove younger lines, see the migration of the audit log."""


class TenancySettings(BaseSettings):
    """Keys, tokens, quotas, the audit log."""

    keys_required: bool = Field(
        False,
        description="Whether a key is asked for before the first one is made. From the first one on it is in any case.",
    )

    # OpenID Connect
    oidc_issuer: str | None = Field(
        None, description="Issuer whose bearer tokens are taken, as in their `iss`: https://login.example/realm."
    )
    oidc_audience: str | None = Field(None, description="What tokens must name as their `aud`; needed with an issuer.")
    oidc_jwks_url: str | None = Field(
        None, description="Where the issuer's keys are; empty: where its /.well-known/openid-configuration says."
    )
    oidc_algorithms: tuple[Algorithm, ...] = Field(
        ("RS256", "ES256"), min_length=1, description="Signatures that are taken, JSON list. No others are looked at."
    )
    oidc_roles_claim: str = Field(
        "roles", description="Claim with the caller's roles, a list or words; dots lead inwards: realm_access.roles."
    )
    oidc_role_prefix: str = Field(
        "phasegap-",
        description="What a role of ours begins with in that claim: phasegap-submit, -read-own, -read-all, -admin.",
    )
    oidc_networks_allowed: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description='Networks beyond the public ones that the issuer may be in, and without TLS: ["10.1.0.0/16"].',
    )

    # Quotas
    quota_period: Literal["day", "month"] = Field("month", description="What quotas are for, by the calendar in UTC.")
    quota_jobs: int | None = Field(None, ge=0, description="Submissions in a period, of a key without a quota.")
    quota_bytes: int | None = Field(None, ge=0, description="Uploaded bytes in a period, likewise.")
    quota_compute_seconds: float | None = Field(
        None, ge=0, description="Seconds that runs may hold a worker's slot in a period, CPU or GPU, likewise."
    )

    audit_retention_days: int = Field(
        365, ge=AUDIT_KEPT_DAYS_AT_LEAST, description="Age after which lines of the audit log are removed."
    )

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://empty")
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.fragment:
            raise ValueError("it must be https://host/path, without user, password and fragment")
        return value or None

    @model_validator(mode="after")
    def _for_whom(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("PHASEGAP_OIDC_AUDIENCE is needed with an issuer: its tokens for others are not for us")
        return self

"""Settings of the store of files where that is a bucket; `app.settings` has them with all others."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

BUCKET_SCHEMES = ("s3", "gs", "az")
BUCKET = r"[a-z0-9][a-z0-9._-]{1,221}(/[A-Za-z0-9._-]+)*/?"
"""A bucket and plain names below it: nothing that a store would have to escape, and no credentials."""


class StoreSettings(BaseSettings):
    """Where uploads and results are kept, and for how long a bucket that fails is asked again."""

    store_url: str | None = Field(
        None,
        description="Bucket for uploads and results, s3://bucket/prefix, gs:// or az://, for workers on many machines; "
        "endpoint and credentials by the stores' own variables (AWS_*, GOOGLE_*, AZURE_*). Empty: the data folder.",
    )
    store_seconds: float = Field(
        30.0, gt=0, description="How long a step that the bucket fails is tried again; then it counts as away."
    )
    store_patience_seconds: float = Field(
        3600.0,
        ge=0,
        description="Age of a job's first run from when on it is given up if the bucket fails it again, not put back.",
    )

    @field_validator("store_url")
    @classmethod
    def _is_bucket(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value and (parts.scheme not in BUCKET_SCHEMES or not re.fullmatch(BUCKET, parts.netloc + parts.path)):
            raise ValueError("it must be s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
        return value.rstrip("/") if value else None

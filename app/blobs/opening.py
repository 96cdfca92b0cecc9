"""Which store the settings ask for."""

from __future__ import annotations

from app.blobs.base import BlobStore
from app.blobs.bucket import BucketBlobs
from app.blobs.local import LocalBlobs
from app.settings import Settings


def open_blobs(settings: Settings) -> BlobStore:
    """The bucket of `PHASEGAP_STORE_URL`, or a folder in the data folder."""
    root = settings.data_dir / "blobs"
    if settings.store_url is None:
        return LocalBlobs(root)
    return BucketBlobs(settings.store_url, root, settings.store_seconds)

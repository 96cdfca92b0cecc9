"""What single keys may have of the workers: limit and priority of an owner's key, where the settings say less."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.jobs.line import Share, Shares, shares_by_settings
from app.placing import HIGHEST_PRIORITY, PlacingSettings
from app.tenancy.keys import newest_key


def shares_of_keys(settings: PlacingSettings) -> Shares:
    """The share of an owner: its newest key's own limit, else the settings'; the higher of both priorities."""
    of_settings = shares_by_settings(settings)

    def share(session: Session, owner: str) -> Share:
        usual = of_settings(session, owner)
        key = newest_key(session, owner) if owner else None
        if key is None:
            return usual
        limit = usual.concurrency_limit if key.concurrency_limit is None else key.concurrency_limit
        return Share(limit, min(HIGHEST_PRIORITY, max(usual.priority, key.priority)))

    return share

"""`Retry-After` as RFC 9110 writes it: seconds, or a date. The client reads it, and the service of its listeners."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, datetime

SECONDS = re.compile(r"[0-9]{1,300}(\.[0-9]*)?")
"""The standard has whole seconds; a fraction says just as clearly what is meant. As many digits as a float can hold."""


def seconds_of(value: str) -> float | None:
    """Seconds from now that the header asks for, 0 where its date is past, None where it is not readable."""
    text = value.strip()
    if SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter from a year or an offset with too many digits
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())

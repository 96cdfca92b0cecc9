"""What every part of a report is made of."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer


def _plain(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


Number = Annotated[float, PlainSerializer(_plain, when_used="json")]
"""A float that stays valid JSON when it is not finite."""


class Part(BaseModel):
    """Base of every part of the report: unknown names are a programming error here, but clients must tolerate them."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

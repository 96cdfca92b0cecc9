"""What a listener is told: a CloudEvent in JSON, signed as Standard Webhooks wants it.

The body is made of the diagnosis' row, which does not change any more: each attempt tells the same under the same id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from app import __version__
from app.errors import problem_document
from app.inert import inert_json
from app.jobs.models import Diagnosis

MEDIA_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "phasegap.diagnosis."


def event_id(diagnosis: Diagnosis) -> str:
    """The same for every attempt and listener: a diagnosis ends once."""
    return f"msg_{diagnosis.id}"


def body_of(diagnosis: Diagnosis, public_url: str | None) -> bytes:
    """The CloudEvent (1.0, structured mode) that says how a diagnosis ended."""
    base = f"{public_url or ''}/diagnoses"
    event = {
        "specversion": "1.0",
        "id": event_id(diagnosis),
        "source": base,
        "type": TYPE_PREFIX + diagnosis.status,
        "subject": diagnosis.id,
        "time": _time(diagnosis.finished_at),
        "datacontenttype": "application/json",
        "data": _data(diagnosis, f"{base}/{diagnosis.id}"),
    }
    return inert_json(json.dumps(event, allow_nan=False, separators=(",", ":"))).encode()


def headers_of(diagnosis: Diagnosis, body: bytes, secrets: Iterable[str], now_s: float) -> list[tuple[str, str]]:
    """The headers of one attempt. While a secret is changed there are two signatures, of which one must fit."""
    message_id, moment = event_id(diagnosis), datetime.fromtimestamp(int(now_s), tz=UTC)
    signatures = [Webhook(secret).sign(message_id, moment, body.decode()) for secret in secrets]
    return [
        ("Content-Type", MEDIA_TYPE),
        ("User-Agent", f"PhaseGap/{__version__}"),
        ("webhook-id", message_id),
        ("webhook-timestamp", str(int(now_s))),
        ("webhook-signature", " ".join(signatures)),
    ]


def _data(diagnosis: Diagnosis, url: str) -> dict[str, Any]:
    failed = diagnosis.error_code is not None
    return {
        "id": diagnosis.id,
        "status": diagnosis.status,
        "created_at": _time(diagnosis.created_at),
        "started_at": _time(diagnosis.started_at),
        "finished_at": _time(diagnosis.finished_at),
        "model_name": diagnosis.model_name,
        "model_file_name": diagnosis.file_name,
        "verdict": diagnosis.verdict,
        "severity": diagnosis.severity,
        "primary_cause": diagnosis.primary_cause,
        "headline": diagnosis.headline,
        "error": problem_document(diagnosis.error_code or "", diagnosis.error_detail or "") if failed else None,
        "job": url,
        "report": f"{url}/report" if diagnosis.status == "succeeded" else None,
        "repaired_model": f"{url}/model" if diagnosis.has_repaired_model else None,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC).isoformat().replace("+00:00", "Z")

"""`/keys`: making, listing and revoking API keys, for who has the role admin. The command line does the same."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import ValidationError

from app.api.answers import model_response
from app.api.context import context_of
from app.api.openapi import problems
from app.api.rights import caller_of
from app.errors import InvalidRequest, PayloadTooLarge
from app.tenancy.described import Key, KeyList, KeyRequest, MadeKey, shown

BODY_LIMIT_BYTES = 16 * 1024
router = APIRouter(prefix="/keys", tags=["access"])
KeyId = Annotated[str, Path(description="The `id` of a key.", max_length=64)]


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": KeyRequest.model_json_schema()}},
    }
}


@router.get("", response_model=KeyList, responses=problems())
def list_keys(request: Request) -> Response:
    """Every key, those too that were revoked or have expired."""
    keys = context_of(request).services.keys.all()
    return model_response(KeyList(items=[Key.model_validate(shown(key)) for key in keys]))


@router.post(
    "",
    status_code=201,
    response_model=MadeKey,
    responses=problems("invalid_request", "payload_too_large", "not_found", "too_many_requests"),
    openapi_extra=BODY,
)
async def add_key(request: Request) -> Response:
    """Make a key. From the first one on the service asks everybody for one."""
    wanted = _parsed(await _body(request)).wanted()
    services, caller = context_of(request).services, caller_of(request.scope)
    key, secret = await run_in_threadpool(services.keys.add, wanted, f"{caller.name} ({caller.key_id})")
    services.keyring.look_again()
    request.scope["state"]["audit_target"] = key.id
    return model_response(MadeKey.model_validate({**shown(key), "secret": secret}), 201)


@router.delete("/{key_id}", status_code=204, responses=problems("invalid_request", "not_found"))
def revoke_key(request: Request, key_id: KeyId) -> Response:
    """Let a key open nothing any more, within two seconds. What it has submitted stays."""
    services = context_of(request).services
    services.keys.revoke(key_id)
    services.keyring.look_again()
    return Response(status_code=204)


async def _body(request: Request) -> bytes:
    """The body, of which no more is taken than a key can need. It is read after the caller's role was looked at."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise PayloadTooLarge(f"A key is described in at most {BODY_LIMIT_BYTES} bytes.")
    return bytes(body)


def _parsed(body: bytes) -> KeyRequest:
    try:
        return KeyRequest.model_validate_json(body)
    except ValidationError as error:
        found = [
            f"`{'.'.join(str(part) for part in each['loc'])[:80] or 'the body'}`: {each['msg'][:200]}"
            for each in error.errors()[:5]
        ]
        raise InvalidRequest("; ".join(found) + ".") from error

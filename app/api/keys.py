"""`/keys`: making, listing, changing and revoking API keys, for who has the role admin. So does the command line."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import ValidationError

from app.api.answers import model_response
from app.api.context import context_of
from app.api.openapi import problems
from app.api.rights import caller_of
from app.errors import InvalidRequest, PayloadTooLarge
from app.tenancy.described import Key, KeyChange, KeyList, KeyRequest, KeyTerms, MadeKey, shown

BODY_LIMIT_BYTES = 16 * 1024
router = APIRouter(prefix="/keys", tags=["access"])
Asked = TypeVar("Asked", bound=KeyTerms)
KeyId = Annotated[str, Path(description="The `id` of a key.", max_length=64)]


def _body_of(model: type[KeyTerms]) -> dict[str, Any]:
    """What the description says of a body that is read only after the caller's role was looked at."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


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
    openapi_extra=_body_of(KeyRequest),
)
async def add_key(request: Request) -> Response:
    """Make a key. From the first one on the service asks everybody for one."""
    wanted = _parsed(KeyRequest, await _body(request)).wanted()
    services, caller = context_of(request).services, caller_of(request.scope)
    key, secret = await run_in_threadpool(services.keys.add, wanted, f"{caller.name} ({caller.key_id})")
    services.keyring.look_again()
    request.scope["state"]["audit_target"] = key.id
    return model_response(MadeKey.model_validate({**shown(key), "secret": secret}), 201)


@router.patch(
    "/{key_id}",
    response_model=Key,
    responses=problems("invalid_request", "payload_too_large", "not_found", "conflict"),
    openapi_extra=_body_of(KeyChange),
)
async def change_key(request: Request, key_id: KeyId) -> Response:
    """Give a key other roles, limits or another priority, within two seconds. What is left out stays; null is what the
    settings say. What it used in this period stays used.
    """
    terms = _parsed(KeyChange, await _body(request)).terms
    services = context_of(request).services
    key = await run_in_threadpool(services.keys.change, key_id, terms)
    services.keyring.look_again()
    return model_response(Key.model_validate(shown(key)))


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


def _parsed(model: type[Asked], body: bytes) -> Asked:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = [
            f"`{'.'.join(str(part) for part in each['loc'])[:80] or 'the body'}`: {each['msg'][:200]}"
            for each in error.errors()[:5]
        ]
        raise InvalidRequest("; ".join(found) + ".") from error

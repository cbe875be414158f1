"""/v1/keys: who may do what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.access import (
    Scope,
    create_key,
    key_data,
    list_keys,
    read_end,
    read_overlap,
    revoke_key,
    rotate_key,
)
from billing.api.auth import Admin, Reader
from billing.api.door import TheDoor
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.repository.keys import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_EXPIRES = "When it ends: an instant, or a length of time such as `90d`."


class KeyAnswer(BaseModel):
    """`prefix` is the part of the key by which people recognise it. It is refused from `expires_at` on;
    `replaced_by` is the key that takes its place. `last_used_at` is kept a minute at a time."""

    id: str
    prefix: str
    scope: str
    account: str | None
    created_at: str
    revoked_at: str | None
    expires_at: str | None
    replaced_by: str | None
    last_used_at: str | None


class NewKeyAnswer(BaseModel):
    """The only time the key is shown: it is null where the request is sent again with its
    `Idempotency-Key`, since only a digest is kept. Whoever missed it revokes the id and makes another."""

    id: str
    key: str | None
    scope: str
    account: str | None
    expires_at: str | None = Field(None, description="Absent where it does not end by itself.")


class RotatedAnswer(NewKeyAnswer):
    """The new key, and the old one with when it ends."""

    replaces: KeyAnswer


class NewKey(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"scope": "ingest", "account": "acme"}]}
    )

    scope: Scope = Field(description="`ingest` writes events, `read` reads, `admin` does everything.")
    account: str | None = Field(None, description="The key sees this account only; not for `admin`.")
    expires: str | None = Field(None, description=_EXPIRES)


class Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap": "24h"}]})

    overlap: str = Field("24h", description="How long the old key lasts beside the new one.")
    expires: str | None = Field(
        None, description=f"{_EXPIRES} By default it lasts as long as the old one was to."
    )


@router.get("", summary="List API keys", responses=good(list[KeyAnswer], headers=LINK_HEADER) | KEYED)
def keys_list(door: TheDoor, caller: Reader, page: Paged) -> Response:
    """In the order in which they were made, the revoked ones too, without their secrets; a bound key sees
    those of its account."""
    seen = [key for key in list_keys(door.service.engine) if caller.account in (None, key.account)]
    return page.show(page.cut(seen, _id), _id, key_data)


@router.post(
    "",
    summary="Make an API key",
    status_code=201,
    responses=good(NewKeyAnswer, 201) | KEYED | errors(409),
)
async def keys_add(creating: Creates, body: NewKey) -> Response:
    """The answer shows the key, this once."""
    service = creating.service

    def make() -> Created:
        now = service.now()
        ends = read_end(body.expires, now)
        new = create_key(service.engine, body.scope, body.account, now, expires=ends)
        return Created(new.to_data(), secret="key")  # noqa: S106 - the name of the field

    return await creating.once(make)


@router.delete("/{key_id}", summary="Revoke an API key", status_code=204, responses=KEYED | errors(404))
def keys_revoke(
    door: TheDoor, _caller: Admin, key_id: Annotated[str, Path(description="Its id.")]
) -> Response:
    """From now on it is refused, by other processes of the service after at most a second."""
    try:
        revoke_key(door.service.engine, key_id, door.service.now())
    finally:
        door.keyring.forget()
    return Response(status_code=204)


@router.post(
    "/{key_id}/rotate",
    summary="Put a new API key in the place of one",
    status_code=201,
    responses=good(RotatedAnswer, 201) | KEYED | errors(404, 409),
)
async def keys_rotate(
    creating: Creates,
    door: TheDoor,
    key_id: Annotated[str, Path(description="Its id.")],
    body: Rotation,
) -> Response:
    """The new key has the same scope and account, and is shown this once. The old one goes on for the overlap
    and then ends by itself."""
    service = creating.service

    def make() -> Created:
        now = service.now()
        overlap, ends = read_overlap(body.overlap), read_end(body.expires, now)
        try:
            new, old = rotate_key(service.engine, key_id, now, overlap=overlap, expires=ends)
        finally:
            door.keyring.forget()
        return Created(new.to_data() | {"replaces": key_data(old)}, secret="key")  # noqa: S106

    return await creating.once(make)


def _id(key: ApiKey) -> str:
    return key.id

"""/v1/keys: who may do what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.access import Scope, create_key, key_data, list_keys, revoke_key
from billing.api.auth import Admin, Reader
from billing.api.door import TheDoor
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.repository.keys import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"])


class KeyAnswer(BaseModel):
    """`prefix` is the part of the key by which people recognise it."""

    id: str
    prefix: str
    scope: str
    account: str | None
    created_at: str
    revoked_at: str | None


class NewKeyAnswer(BaseModel):
    """The only time the key is shown: it is null where the request is sent again with its
    `Idempotency-Key`, since only a digest is kept. Whoever missed it revokes the id and makes another."""

    id: str
    key: str | None
    scope: str
    account: str | None


class NewKey(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"scope": "ingest", "account": "acme"}]}
    )

    scope: Scope = Field(description="`ingest` writes events, `read` reads, `admin` does everything.")
    account: str | None = Field(None, description="The key sees this account only; not for `admin`.")


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
        new = create_key(service.engine, body.scope, body.account, service.now())
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


def _id(key: ApiKey) -> str:
    return key.id

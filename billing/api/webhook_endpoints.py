"""/v1/webhook-endpoints: addresses that are told of what happens."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin, Reader
from billing.api.deliveries import DeliveryAnswer
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import AccountId
from billing.notifications.endpoints import (
    add_endpoint,
    endpoint_data,
    list_endpoints,
    make_test,
    remove_endpoint,
    rotate_secret,
    show_endpoint,
    update_endpoint,
)
from billing.notifications.log import delivery_data
from billing.notifications.setting_up import sender_of
from billing.notifications.telling import EVENT_TYPES

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhook endpoints"])

EndpointPath = Annotated[str, Path(description="The endpoint's id.")]
_TYPES = "; ".join(f"`{name}`: {means}" for name, means in EVENT_TYPES.items())


class EndpointAnswer(BaseModel):
    """`account`: whose it is, null: the operator's, told of all accounts. No `event_types`: all of them."""

    id: str
    account: str | None
    url: str
    description: str
    event_types: list[str]
    status: str = Field(description="enabled or disabled")
    disabled_reason: str | None
    failures: int = Field(description="In a row, by now.")
    failing_since: str | None
    created_at: str


class SecretAnswer(EndpointAnswer):
    """The only time the secret is shown: it is null where the request is sent again with its
    `Idempotency-Key`. Whoever missed it rotates it."""

    secret: str | None


class NewEndpoint(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"url": "https://example.com/hooks", "event_types": ["invoice.paid"]}]
        },
    )

    url: str = Field(description="By https, on the public internet.")
    account: AccountId | None = Field(None, description="Tell of this account only.")
    event_types: list[str] = Field([], description=f"None: all. {_TYPES}.")
    description: str = ""


class EndpointChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"status": "enabled"}]})

    url: str | None = None
    event_types: list[str] | None = None
    description: str | None = None
    status: Literal["enabled", "disabled"] | None = None


@router.get(
    "", summary="List webhook endpoints", responses=good(list[EndpointAnswer], headers=LINK_HEADER) | KEYED
)
def endpoints_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="That account's own.")] = None,
) -> Response:
    """In the order in which they were made, without their secrets; a bound key sees its account's own."""
    if caller.account is not None and account not in (None, caller.account):
        return answer([])
    found = list_endpoints(
        door.service.engine, account=caller.account or account, after=page.after, limit=page.fetch
    )
    return page.show(found, lambda endpoint: endpoint.id, endpoint_data)


@router.post(
    "",
    summary="Add a webhook endpoint",
    status_code=201,
    responses=good(SecretAnswer, 201) | KEYED | errors(404, 409),
)
async def endpoints_add(creating: Creates, body: NewEndpoint) -> Response:
    """The answer shows the secret that signs what is sent (Standard Webhooks), this once."""
    service = creating.service

    def make() -> Created:
        made = add_endpoint(
            service.engine,
            body.url,
            account=body.account,
            event_types=body.event_types,
            description=body.description,
            private=service.settings.webhook_private == "on",
            by=creating.by,
            now=service.now(),
        )
        return Created(
            made.to_data(),
            location=f"/v1/webhook-endpoints/{made.endpoint.id}",
            secret="secret",  # noqa: S106 - the name of the field
        )

    return await creating.once(make)


@router.get(
    "/{endpoint_id}",
    summary="Show a webhook endpoint",
    responses=good(EndpointAnswer) | KEYED | errors(404),
)
def endpoints_show(door: TheDoor, caller: Reader, endpoint_id: EndpointPath) -> Response:
    return answer(endpoint_data(show_endpoint(door.service.engine, endpoint_id, account=caller.account)))


@router.patch(
    "/{endpoint_id}",
    summary="Change a webhook endpoint, or enable or disable it",
    responses=good(EndpointAnswer) | KEYED | errors(404),
)
def endpoints_change(
    door: TheDoor, _caller: Admin, endpoint_id: EndpointPath, body: EndpointChange
) -> Response:
    """One that is enabled again is told of what happens from then on; see `/v1/deliveries/resend` for what it
    missed."""
    service = door.service
    changed = update_endpoint(
        service.engine,
        endpoint_id,
        url=body.url,
        event_types=body.event_types,
        description=body.description,
        status=body.status,
        private=service.settings.webhook_private == "on",
        now=service.now(),
    )
    return answer(endpoint_data(changed))


@router.delete(
    "/{endpoint_id}",
    summary="Remove a webhook endpoint",
    status_code=204,
    responses=KEYED | errors(404),
)
def endpoints_remove(door: TheDoor, _caller: Admin, endpoint_id: EndpointPath) -> Response:
    """It is told nothing more; its deliveries stay in the log."""
    remove_endpoint(door.service.engine, endpoint_id, now=door.service.now())
    return Response(status_code=204)


@router.post(
    "/{endpoint_id}/rotate-secret",
    summary="Make a new secret",
    status_code=201,
    responses=good(SecretAnswer, 201) | KEYED | errors(404, 409),
)
async def endpoints_rotate(creating: Creates, endpoint_id: EndpointPath) -> Response:
    """Shown this once; for a day the old one signs as well."""
    service = creating.service

    def make() -> Created:
        made = rotate_secret(service.engine, endpoint_id, service.now())
        return Created(made.to_data(), secret="secret")  # noqa: S106 - the name of the field

    return await creating.once(make)


@router.post(
    "/{endpoint_id}/test",
    summary="Send a test",
    status_code=201,
    responses=good(DeliveryAnswer, 201) | KEYED | errors(404, 409),
)
async def endpoints_test(creating: Creates, endpoint_id: EndpointPath) -> Response:
    """An event `webhook.test`, now; the answer says what came of it."""
    service = creating.service

    def make() -> Created:
        sender = sender_of(service)
        sent = sender.send_one(make_test(service.engine, endpoint_id, service.now()))
        return Created(delivery_data(sent), location=f"/v1/deliveries/{sent.id}")

    return await creating.once(make)

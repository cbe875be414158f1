"""/v1/deliveries: what was sent by webhook and by mail, and what is on its way."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Reader
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.notifications.log import STATUSES, delivery_data, delivery_shown, list_deliveries
from billing.notifications.sending import resend, resend_failed
from billing.notifications.setting_up import sender_of
from billing.repository.notifications import Wanted

router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

DeliveryPath = Annotated[str, Path(description="The delivery's id.")]


class DeliveryAnswer(BaseModel):
    """An event on its way to a target: an endpoint's id (`channel` webhook), or an e-mail address (mail).
    `event` is the `webhook-id`, the same each time. `response` begins the last answer (1,000 bytes)."""

    id: str
    event: str
    type: str
    channel: str
    target: str
    account: str | None
    status: str = Field(description="pending, delivered, or failed: given up")
    attempts: int
    created_at: str
    last_attempt_at: str | None
    next_attempt_at: str | None
    delivered_at: str | None
    response_status: int | None
    response: str | None
    error: str | None


class DeliveryShown(DeliveryAnswer):
    body: dict[str, Any] = Field(description="What is sent.")


class SentAnswer(BaseModel):
    """`again`: how many were made due again, where that was asked for; `pending`: tried again later."""

    again: int = 0
    delivered: int
    pending: int
    failed: int


class Resend(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"endpoint": "whe_0006407e"}]})

    endpoint: str = Field(description="Whose failed deliveries are sent again.")


class Send(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})


@router.get("", summary="List deliveries", responses=good(list[DeliveryAnswer], headers=LINK_HEADER) | KEYED)
def deliveries_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    endpoint: Annotated[str | None, Query(description="Of one endpoint.")] = None,
    account: Annotated[str | None, Query(description="To that account's own endpoints and address.")] = None,
    status: Annotated[str | None, Query(description=f"One of {', '.join(STATUSES)}.")] = None,
) -> Response:
    """Of the last 90 days, oldest first; a bound key sees those to its account's own targets."""
    if caller.account is not None and account not in (None, caller.account):
        return answer([])
    wanted = Wanted(endpoint, caller.account or account, status)
    found = list_deliveries(door.service.engine, wanted, page.wanted)
    return page.show(found, lambda delivery: delivery.id, delivery_data)


@router.get("/{delivery_id}", summary="Show a delivery", responses=good(DeliveryShown) | KEYED | errors(404))
def deliveries_show(door: TheDoor, caller: Reader, delivery_id: DeliveryPath) -> Response:
    """With what is sent."""
    return answer(delivery_shown(door.service.engine, delivery_id, account=caller.account))


@router.post(
    "/send",
    summary="Deliver what is due now",
    status_code=201,
    responses=good(SentAnswer, 201) | KEYED | errors(409),
)
async def deliveries_send(creating: Creates, body: Send) -> Response:
    """As the schedule does every minute."""
    service = creating.service

    def make() -> Created:
        return Created(_sent(sender_of(service).send_due()))

    return await creating.once(make)


@router.post(
    "/resend",
    summary="Send again what an endpoint was not told",
    status_code=201,
    responses=good(SentAnswer, 201) | KEYED | errors(404, 409),
)
async def deliveries_resend_failed(creating: Creates, body: Resend) -> Response:
    """All of its deliveries that were given up, in their order and with the same ids."""
    service = creating.service

    def make() -> Created:
        again = resend_failed(service.engine, body.endpoint, service.now())
        return Created(_sent(sender_of(service).send_due()) | {"again": again})

    return await creating.once(make)


@router.post(
    "/{delivery_id}/resend",
    summary="Send a delivery again",
    status_code=201,
    responses=good(DeliveryAnswer, 201) | KEYED | errors(404, 409),
)
async def deliveries_resend(creating: Creates, delivery_id: DeliveryPath) -> Response:
    """Now, with the same `webhook-id`, whether it was taken or not; the answer says what came of it."""
    service = creating.service

    def make() -> Created:
        sender = sender_of(service)
        again = resend(service.engine, delivery_id, service.now())
        return Created(delivery_data(sender.send_one(again.id)))

    return await creating.once(make)


def _sent(counts: dict[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in ("delivered", "pending", "failed")}

"""/v1/accounts/{id}/links and /v1/links: the way to the customer's pages."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.accounts import AccountPath
from billing.api.auth import Admin
from billing.api.door import TheDoor
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.links import DEFAULT_HOURS, create_link, end_links

router = APIRouter(prefix="/v1", tags=["links"])


class NewLink(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"hours": 24}]})

    hours: int = Field(DEFAULT_HOURS, strict=True, description="How long it opens the pages; 744 at most.")


class LinkAnswer(BaseModel):
    """Whoever has the `url` sees the account's pages. It is null where the request is sent again with its
    `Idempotency-Key`, since links are not kept."""

    account: str
    url: str | None
    expires_at: str


@router.post(
    "/accounts/{account_id}/links",
    summary="Make a link to the customer's pages",
    status_code=201,
    responses=good(LinkAnswer, 201) | KEYED | errors(404, 409),
)
async def links_add(creating: Creates, account_id: AccountPath, body: NewLink) -> Response:
    """To send to the customer, or to show in a frame. It leads to `BILLING_PUBLIC_URL`, or else to the
    address of this request."""
    service = creating.service
    base = service.settings.base_url(str(creating.request.base_url))

    def make() -> Created:
        made = create_link(service.engine, account_id, now=service.now(), hours=body.hours)
        return Created(made.to_data(base), secret="url")  # noqa: S106 - the name of the field

    return await creating.once(make)


@router.delete("/links", summary="End every link", status_code=204, responses=KEYED)
def links_end(door: TheDoor, _caller: Admin) -> Response:
    """Those of all accounts: a new secret takes the place of the one that signed them."""
    end_links(door.service.engine, door.service.now())
    return Response(status_code=204)

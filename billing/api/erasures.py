"""/v1/accounts/{id}/erasures: a customer's personal data is erased, and their invoices stay provable."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.accounts import AccountPath
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.params import Reason
from billing.erasure import RETAIN_YEARS, erase

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


class Erasure(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "asked for on 2 November", "dry_run": True}]},
    )

    retain_years: int = Field(
        RETAIN_YEARS,
        strict=True,
        ge=0,
        le=100,
        description="Whole years after that of its issue in which an invoice keeps whom it was made out to; "
        "0: none.",
    )
    reason: Reason = ""
    dry_run: bool = Field(False, strict=True, description="Say what would be erased, and erase nothing.")


class ErasedAnswer(BaseModel):
    """`erased`: how much, by kind. `left`: columns in which it still stands, such as a reason that somebody
    wrote, and in how many rows. `elsewhere`: what is not in this database."""

    account: str
    dry_run: bool
    erased: dict[str, int]
    invoices_kept: list[str]
    kept_until: str | None
    left: dict[str, int]
    elsewhere: list[str]


@router.post(
    "/{account_id}/erasures",
    summary="Erase a customer's personal data",
    status_code=201,
    responses=good(ErasedAnswer, 201) | good(ErasedAnswer) | KEYED | errors(404, 409),
)
async def accounts_erase(creating: Creates, account_id: AccountPath, body: Erasure) -> Response:
    """Of an account that is closed, and of which all is invoiced, paid and answered. Names, addresses, what
    was written in disputes, who was told, names of workspaces and flows. What proves an invoice stays. There
    is no way back. 200 where nothing was erased (`dry_run`)."""
    service = creating.service

    def make() -> Created:
        found = erase(
            service.engine,
            service.store,
            account_id,
            now=service.now(),
            retain_years=body.retain_years,
            reason=body.reason,
            by=creating.by,
            dry_run=body.dry_run,
        )
        return Created(found.to_data(), 200 if body.dry_run else 201)

    return await creating.once(make)

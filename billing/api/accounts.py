"""/v1/accounts: who is billed, and by which plan."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.accounts import (
    DEFAULT_PLAN,
    account_data,
    add_account,
    list_accounts,
    set_plan,
    show_account,
)
from billing.api.auth import Admin, Reader, author, check_account
from billing.api.door import Door, TheDoor, answer
from billing.api.idempotency import Created, IdempotencyKey, once
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import month_of
from billing.errors import NotFound
from billing.repository.accounts import Account

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

AccountPath = Annotated[str, Path(description="The account.", examples=["acme"])]


class AccountPlan(BaseModel):
    """From a month on, a plan version."""

    from_: str = Field(alias="from", examples=["2026-10"])
    plan: str = Field(examples=["starter@2021-02"])


class AccountContract(BaseModel):
    """The term of a contract; `end` is the first day without it."""

    id: str
    start: str
    end: str


class AccountProgram(BaseModel):
    """A program that the account is in from `starts_on` on; `ends_on` is the first day without it."""

    program: str
    percentage: str
    starts_on: str
    ends_on: str


class AccountProtection(BaseModel):
    """No more than `charge` (in minor units) a month, until `ends_on`."""

    from_: str = Field(alias="from", examples=["2026-10"])
    charge: int
    ends_on: str


class AccountAnswer(BaseModel):
    id: str
    name: str
    email: str
    currency: str
    billing_from: str
    closed_on: str | None
    plans: list[AccountPlan]
    contracts: list[AccountContract]
    programs: list[AccountProgram]
    price_protection: list[AccountProtection]
    details: dict[str, str | int] = Field(description="What its invoices say, and how they are paid.")
    stripe_customer_id: str | None


class NewAccount(BaseModel):
    """Only `id` is needed: the plan is then `starter`, and billing begins this month."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"id": "acme", "plan": "starter", "billing_from": "2026-10", "email": "billing@acme.test"}
            ]
        },
    )

    id: str = Field(description="1 to 64 of the characters A-Z a-z 0-9 . _ -")
    plan: str = DEFAULT_PLAN
    billing_from: str | None = Field(None, description="A month, `YYYY-MM`; by default this one.")
    name: str = ""
    email: str = ""
    currency: str | None = Field(None, description="By default the service's.")


class NewPlan(BaseModel):
    """The plan version that prices the account from a month on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"plan": "standard", "from": "2026-11"}]}
    )

    plan: str = Field(description="`standard` (its newest version in effect then) or `standard@2021-02`.")
    from_: str = Field(alias="from", description="A month, `YYYY-MM`.")


@router.get(
    "",
    summary="List accounts",
    responses=good(list[AccountAnswer], headers=LINK_HEADER) | KEYED,
)
def accounts_list(door: TheDoor, caller: Reader, page: Paged) -> Response:
    """In the order of their ids; a bound key sees its own."""
    if caller.account is None:
        found = list_accounts(door.service.engine, after=page.after, limit=page.fetch)
    else:
        found = page.cut(_own(door, caller.account), lambda account: account.id)
    return page.show(found, lambda account: account.id, account_data)


@router.post(
    "",
    summary="Add an account",
    status_code=201,
    responses=good(AccountAnswer, 201) | KEYED | errors(409),
)
async def accounts_add(
    request: Request, door: TheDoor, caller: Admin, body: NewAccount, idempotency_key: IdempotencyKey = None
) -> Response:
    """Enrols it in a plan version from `billing_from` on."""
    service = door.service

    def make() -> Created:
        account = add_account(
            service.engine,
            body.id,
            now=service.now(),
            currency=body.currency or service.settings.currency,
            plan=body.plan,
            billing_from=month_of(body.billing_from, "billing_from") if body.billing_from else None,
            name=body.name,
            email=body.email,
        )
        return Created(account_data(account), location=f"/v1/accounts/{account.id}")

    return await once(service, request, caller, idempotency_key, make)


@router.get(
    "/{account_id}",
    summary="Show an account",
    responses=good(AccountAnswer) | KEYED | errors(404),
)
def accounts_show(door: TheDoor, caller: Reader, account_id: AccountPath) -> Response:
    check_account(caller, account_id)
    return answer(account_data(show_account(door.service.engine, account_id)))


@router.post(
    "/{account_id}/plan",
    summary="Change an account's plan",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
def accounts_set_plan(door: TheDoor, caller: Admin, account_id: AccountPath, body: NewPlan) -> Response:
    """From a month that is not invoiced yet. Sent twice, it changes nothing more."""
    account = set_plan(
        door.service.engine,
        account_id,
        body.plan,
        month_of(body.from_, "from"),
        now=door.service.now(),
        by=author(caller),
    )
    return answer(account_data(account))


def _own(door: Door, account_id: str) -> list[Account]:
    try:
        return [show_account(door.service.engine, account_id)]
    except NotFound:
        return []

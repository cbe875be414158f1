"""/v1/accounts: who is billed; adding, showing, updating, closing. What is agreed with them is in
`account_terms`, their credit in `account_credit`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.accounts import (
    DEFAULT_PLAN,
    account_data,
    add_account,
    list_accounts,
    show_account,
    update_account,
)
from billing.api.account_shapes import AccountAnswer, Details
from billing.api.auth import Admin, Reader, check_account
from billing.api.door import Door, TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import Amount, Reason, Runs, day_of, month_of
from billing.billing_details import BillingDetails
from billing.closing import close_account, reopen_account
from billing.errors import Invalid, NotFound
from billing.repository.accounts import Account

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

AccountPath = Annotated[str, Path(description="The account.", examples=["acme"])]

_DETAILS = frozenset(each.name for each in fields(BillingDetails))


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
    legacy_charge: Amount | None = Field(None, description="Price protection: at most this a month …")
    protected_until: str | None = Field(None, description="… until this day, `YYYY-MM-DD`.")
    opening_credit: Amount | None = Field(None, description="Credit that the account brings.")
    opening_runs: Runs | None = Field(None, description="Task runs it has paid for elsewhere, usable …")
    opening_runs_until: str | None = Field(None, description="… until this day, the first of a month.")
    details: Details = Details()


class AccountChanges(BaseModel):
    """What is given is changed; an empty text takes one away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Acme AG", "details": {"country": "DE"}}]}
    )

    name: str = ""
    email: str = ""
    details: Details = Details()


class Link(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"customer": "cus_NffrFeUfNV2Hib"}]}
    )

    customer: str = Field(description="The customer's id at Stripe.")


class Closing(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"on": "2026-12-31"}]})

    on: str | None = Field(None, description="A day; its month is the last one billed. By default today.")
    reason: Reason = ""


class Reopening(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "they came back"}]})

    reason: Reason = ""


class GrantLeft(BaseModel):
    contract: str
    grant: str
    runs_left: int
    expires_on: str


class ClosedAnswer(BaseModel):
    """What is left of an account that was closed; `credit` in minor units."""

    account: str
    closed_on: str
    invoices_to_come: list[str] = Field(description="Months that have task runs and no invoice yet.")
    adjustments_to_come: int = Field(description="What the next invoice would adjust, in minor units.")
    grants: list[GrantLeft]
    credit: int
    currency: str


@router.get(
    "",
    summary="List accounts",
    responses=good(list[AccountAnswer], headers=LINK_HEADER) | KEYED,
)
def accounts_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    search: Annotated[str, Query(max_length=100, description="In the id or name, in any case.")] = "",
) -> Response:
    """In the order of their ids; a bound key sees its own."""
    if caller.account is None:
        found = list_accounts(door.service.engine, after=page.after, limit=page.fetch, search=search)
    else:
        found = page.cut(_own(door, caller.account), lambda account: account.id)
    return page.show(found, lambda account: account.id, account_data)


@router.post(
    "",
    summary="Add an account",
    status_code=201,
    responses=good(AccountAnswer, 201) | KEYED | errors(409),
)
async def accounts_add(creating: Creates, body: NewAccount) -> Response:
    """Enrols it in a plan version from `billing_from` on. An account that moves in may bring price
    protection, credit, and task runs that it has paid for elsewhere."""
    service = creating.service

    def make() -> Created:
        with _in_details():
            details = BillingDetails(**body.details.given())
        account = add_account(
            service.engine,
            body.id,
            now=service.now(),
            currency=body.currency or service.settings.currency,
            plan=body.plan,
            billing_from=month_of(body.billing_from, "billing_from") if body.billing_from else None,
            name=body.name,
            email=body.email,
            legacy_charge=body.legacy_charge,
            protected_until=day_of(body.protected_until, "protected_until"),
            opening_credit=body.opening_credit,
            opening_runs=body.opening_runs,
            opening_runs_until=day_of(body.opening_runs_until, "opening_runs_until"),
            details=details,
            by=creating.by,
        )
        return Created(account_data(account), location=f"/v1/accounts/{account.id}")

    return await creating.once(make)


@router.get(
    "/{account_id}",
    summary="Show an account",
    responses=good(AccountAnswer) | KEYED | errors(404),
)
def accounts_show(door: TheDoor, caller: Reader, account_id: AccountPath) -> Response:
    check_account(caller, account_id)
    return answer(account_data(show_account(door.service.engine, account_id)))


@router.patch(
    "/{account_id}",
    summary="Update an account",
    responses=good(AccountAnswer) | KEYED | errors(404),
)
def accounts_update(door: TheDoor, _caller: Admin, account_id: AccountPath, body: AccountChanges) -> Response:
    """Its name, its e-mail address, and its billing details. Invoices made before keep what they say."""
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"details"})
    with _in_details():
        account = update_account(
            door.service.engine, account_id, now=door.service.now(), **changes, **body.details.given()
        )
    return answer(account_data(account))


@router.post(
    "/{account_id}/close",
    summary="Close an account",
    responses=good(ClosedAnswer) | KEYED | errors(404, 409),
)
async def accounts_close(creating: Creates, account_id: AccountPath, body: Closing) -> Response:
    """Answers what is left. Usage of later months is not billed but reported by their runs."""
    service = creating.service

    def make() -> Created:
        left = close_account(
            service.engine,
            service.store,
            account_id,
            on=day_of(body.on, "on"),
            by=creating.by,
            now=service.now(),
            reason=body.reason,
        )
        return Created(left, 200)

    return await creating.once(make)


@router.post(
    "/{account_id}/reopen",
    summary="Reopen an account",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
async def accounts_reopen(creating: Creates, account_id: AccountPath, body: Reopening) -> Response:
    """It is billed again as if it had never been closed."""
    service = creating.service

    def make() -> Created:
        account = reopen_account(
            service.engine, account_id, by=creating.by, now=service.now(), reason=body.reason
        )
        return Created(account_data(account), 200)

    return await creating.once(make)


@router.put(
    "/{account_id}/stripe-customer",
    summary="Link an account to a customer at Stripe",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
def accounts_link(door: TheDoor, _caller: Admin, account_id: AccountPath, body: Link) -> Response:
    """To one that Stripe has already, with its payment method. What the account says is told to the customer
    before the next invoice; what it does not say stays there as it is. 409 for a customer that is not there,
    or stands for another account, and while invoices of the account's customer are unpaid."""
    return answer(account_data(door.service.link_customer(account_id, body.customer)))


@contextmanager
def _in_details() -> Iterator[None]:
    """Names a detail at fault as the body does."""
    try:
        yield
    except Invalid as error:
        if error.field in _DETAILS:
            raise Invalid(str(error), field=f"details.{error.field}") from None
        raise


def _own(door: Door, account_id: str) -> list[Account]:
    try:
        return [show_account(door.service.engine, account_id)]
    except NotFound:
        return []

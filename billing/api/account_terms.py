"""/v1/accounts/{id}/plan, /protection, /programs and /terms: what is agreed with an account, and how it came
to be. /v1/price-protections: those that end soon."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.accounts import account_data, set_plan
from billing.api.account_shapes import AccountAnswer
from billing.api.accounts import AccountPath
from billing.api.auth import Admin, Reader, author, check_account
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.params import Amend, Amount, Reason, day_of, month_of
from billing.grandfathering import LISTED_DAYS, protect, protections_ending
from billing.programs import apply_program, leave_program
from billing.terms import list_terms

router = APIRouter(tags=["accounts"])


class NewPlan(BaseModel):
    """The plan version that prices the account from a month on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"plan": "standard", "from": "2026-11"}]}
    )

    plan: str = Field(description="`standard` (its newest version in effect then) or `standard@2021-02`.")
    from_: str = Field(alias="from", description="A month, `YYYY-MM`.")
    amend: Amend = False
    reason: Reason = ""


class NewProtection(BaseModel):
    """No more than a charge a month, in the months whose first day is before `until`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"charge": "100.00", "until": "2027-07-01"}]}
    )

    charge: Amount
    until: str = Field(description="A day, `YYYY-MM-DD`.")
    from_: str | None = Field(None, alias="from", description="A month, `YYYY-MM`; by default this one.")
    amend: Amend = False
    reason: Reason = ""


class NewProgram(BaseModel):
    """An application to a program: a percentage off in the months on whose first day it holds."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"program": "nonprofits", "percent": "50", "until": "2027-10-01"}],
        },
    )

    program: str = Field(description="`academia`, `startups` or `nonprofits`.")
    percent: Amount = Field(description='Above 0 and at most 100, as text: "50", "12.5".')
    until: str = Field(description="The first day without it, `YYYY-MM-DD`.")
    from_: str | None = Field(None, alias="from", description="Its first day; by default today.")
    founded_on: str | None = Field(None, description="Of a startup: less than three years ago.")
    raised: Amount | None = Field(None, description="Of a startup, in USD: less than 10 million.")
    amend: Amend = False
    reason: Reason = ""


class ProgramEnding(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"on": "2027-01-01"}]})

    on: str = Field(description="The first day without it, `YYYY-MM-DD`.")
    amend: Amend = False
    reason: Reason = ""


class EndingAnswer(BaseModel):
    """A protection that holds now; `charge` in minor units."""

    account: str
    charge: int
    currency: str
    ends_on: str
    days_left: int


class TermsEntryAnswer(BaseModel):
    """What was recorded; `data` depends on the kind, with amounts in minor units, but those of a contract as
    in its file. An `amendment` reached into a month that was invoiced."""

    entry: int
    kind: str = Field(examples=["plan"])
    data: dict[str, Any]
    amendment: bool
    author: str | None = Field(description="Null for a bound key.")
    reason: str | None = Field(description="Null for a bound key.")
    recorded_at: str


@router.post(
    "/v1/accounts/{account_id}/plan",
    summary="Change an account's plan",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
def accounts_set_plan(door: TheDoor, caller: Admin, account_id: AccountPath, body: NewPlan) -> Response:
    """From a month that is not invoiced yet, unless it is an amendment."""
    account = set_plan(
        door.service.engine,
        account_id,
        body.plan,
        month_of(body.from_, "from"),
        now=door.service.now(),
        by=author(caller),
        amend=body.amend,
        reason=body.reason,
    )
    return answer(account_data(account))


@router.post(
    "/v1/accounts/{account_id}/protection",
    summary="Protect an account's price",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
def accounts_protect(door: TheDoor, caller: Admin, account_id: AccountPath, body: NewProtection) -> Response:
    """It takes the place of any protection from then on."""
    account = protect(
        door.service.engine,
        account_id,
        body.charge,
        day_of(body.until, "until"),
        now=door.service.now(),
        from_month=None if body.from_ is None else month_of(body.from_, "from"),
        by=author(caller),
        amend=body.amend,
        reason=body.reason,
    )
    return answer(account_data(account))


@router.get(
    "/v1/price-protections",
    summary="List price protections that end soon",
    responses=good(list[EndingAnswer]) | KEYED,
)
def price_protections(
    door: TheDoor,
    caller: Reader,
    within: Annotated[int, Query(ge=0, le=1_000_000, description="Days.")] = LISTED_DAYS,
) -> Response:
    """Those that hold now, the next one to end first; a bound key sees its own."""
    found = protections_ending(door.service.engine, door.service.now(), within_days=within)
    return answer([each for each in found if caller.account in (None, each["account"])])


@router.post(
    "/v1/accounts/{account_id}/programs",
    summary="Apply to a program",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
async def accounts_apply_program(creating: Creates, account_id: AccountPath, body: NewProgram) -> Response:
    """Approved by whose key it is, where the facts meet the program; 409 with the reason where not."""
    service = creating.service

    def make() -> Created:
        account = apply_program(
            service.engine,
            account_id,
            body.program,
            percent=body.percent,
            until=day_of(body.until, "until"),
            starts_on=day_of(body.from_, "from"),
            founded_on=day_of(body.founded_on, "founded_on"),
            raised=body.raised,
            by=creating.by,
            now=service.now(),
            amend=body.amend,
            reason=body.reason,
        )
        return Created(account_data(account), 200)

    return await creating.once(make)


@router.post(
    "/v1/accounts/{account_id}/programs/{program}/end",
    summary="Leave a program",
    responses=good(AccountAnswer) | KEYED | errors(404, 409),
)
def accounts_leave_program(
    door: TheDoor,
    caller: Admin,
    account_id: AccountPath,
    program: Annotated[str, Path(description="`academia`, `startups` or `nonprofits`.")],
    body: ProgramEnding,
) -> Response:
    """Earlier than agreed."""
    account = leave_program(
        door.service.engine,
        account_id,
        program,
        day_of(body.on, "on"),
        by=author(caller),
        now=door.service.now(),
        amend=body.amend,
        reason=body.reason,
    )
    return answer(account_data(account))


@router.get(
    "/v1/accounts/{account_id}/terms",
    summary="The history of an account's terms",
    responses=good(list[TermsEntryAnswer]) | KEYED | errors(404),
)
def accounts_terms(door: TheDoor, caller: Reader, account_id: AccountPath) -> Response:
    """All that was agreed, in the order in which it was recorded. Who recorded it and why is the operator's
    own matter, and not shown to a bound key."""
    check_account(caller, account_id)
    entries = list_terms(door.service.engine, account_id)
    if caller.account is not None:
        entries = [each | {"author": None, "reason": None} for each in entries]
    return answer(entries)

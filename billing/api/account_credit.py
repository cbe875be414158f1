"""/v1/accounts/{id}/credits and /v1/referrals: credit, and what earns it."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.accounts import AccountPath
from billing.api.auth import Reader, check_account
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.params import AccountId, Amount
from billing.api.proposals import PROPOSED, proposed
from billing.credits import show_credit
from billing.programs import refer
from billing.proposals import Proposal, perform
from billing.proposals.deeds import CREDIT

router = APIRouter(tags=["credit"])


class NewCredit(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"amount": "25.00", "reason": "the outage of 3 October"}]},
    )

    amount: Amount
    reason: str = Field(description="What for, as the invoice will say it.")


class CreditLeft(BaseModel):
    id: str
    description: str
    granted_at: str
    left: int


class CreditEntryAnswer(BaseModel):
    """`amount` is signed; `invoice` used the credit, gave it back, or carried it over."""

    credit: str
    kind: str
    amount: int
    description: str
    invoice: str | None
    author: str
    recorded_at: str


class CreditAnswer(BaseModel):
    """Amounts in minor units. `credits` are those that are not used up, oldest first."""

    account: str
    currency: str
    balance: int
    credits: list[CreditLeft]
    ledger: list[CreditEntryAnswer]


class NewReferral(BaseModel):
    """Who referred whom."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"referrer": "acme", "referred": "newcomer"}]}
    )

    referrer: AccountId
    referred: AccountId


class ReferralAnswer(BaseModel):
    referrer: str
    referred: str
    rewarded: bool


@router.post(
    "/v1/accounts/{account_id}/credits",
    summary="Grant credit",
    status_code=201,
    responses=good(CreditAnswer, 201) | PROPOSED | KEYED | errors(404, 409),
)
async def credits_add(creating: Creates, account_id: AccountPath, body: NewCredit) -> Response:
    """The account's next invoices use it. Answers all of its credit."""
    service = creating.service

    def make() -> Created:
        asked = {"account": account_id, "amount": body.amount, "reason": body.reason}
        data = perform(service, CREDIT, asked, by=creating.by)
        if isinstance(data, Proposal):
            return proposed(service, data)
        return Created(data, location=f"/v1/accounts/{account_id}/credits")

    return await creating.once(make)


@router.get(
    "/v1/accounts/{account_id}/credits",
    summary="An account's credit and its ledger",
    responses=good(CreditAnswer) | KEYED | errors(404),
)
def credits_show(door: TheDoor, caller: Reader, account_id: AccountPath) -> Response:
    check_account(caller, account_id)
    return answer(show_credit(door.service.engine, account_id))


@router.post(
    "/v1/referrals",
    summary="Record a referral",
    status_code=201,
    responses=good(ReferralAnswer, 201) | KEYED | errors(404, 409),
)
async def referrals_add(creating: Creates, body: NewReferral) -> Response:
    """The referrer is rewarded with credit once the other account has paid at least 1.00. An account has one
    referrer, and referrals do not go in a circle."""
    service = creating.service

    def make() -> Created:
        pair = refer(service.engine, body.referrer, body.referred, by=creating.by, now=service.now())
        return Created(pair)

    return await creating.once(make)

"""/v1/accounts/{id}/advice and /v1/contract-risks: before a commitment, and while it runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from billing.advice.operation import advise
from billing.advice.risks import contract_risks
from billing.api.auth import Admin
from billing.api.door import TheDoor, answer
from billing.api.openapi import KEYED, errors, good
from billing.api.params import AccountId

router = APIRouter(prefix="/v1", tags=["contracts"])


class ComparedAnswer(BaseModel):
    """A year with the offer and without, in minor units. `break_even_price`: the most it may cost before
    on-demand usage is the cheaper way; `saving` is null where no price was given."""

    billable: int
    on_demand_only: int
    on_demand_beyond: int
    break_even_price: int
    saving: int | None
    unused: int
    runs_out_on: str | None


class NextAnswer(ComparedAnswer):
    """`low` and `high`: at the edges of the forecast. `break_even_percent`: the least share of the expected
    usage with which the offer pays; `break_even_runs`: the same to the run."""

    low: ComparedAnswer | None
    high: ComparedAnswer | None
    break_even_percent: int | None
    break_even_runs: int | None


class OfferAnswer(BaseModel):
    runs: int
    price: int | None
    past: ComparedAnswer
    next: NextAnswer | None


class CheapestAnswer(BaseModel):
    runs: int
    price: int | None
    saving: int


class PastAnswer(BaseModel):
    from_: str = Field(alias="from")
    to: str
    billable: int
    on_demand: int
    months_with_runs: int = Field(description="How many of the months have billable runs.")
    cheapest: CheapestAnswer | None = Field(description="Null where on-demand usage is.")


class AheadAnswer(BaseModel):
    from_: str = Field(alias="from")
    to: str
    billable: int
    low: int | None
    high: int | None
    history_days: int
    cheapest: CheapestAnswer | None


class AdviceAnswer(BaseModel):
    """`basis`: what is expected of the next months goes by this."""

    account: str
    currency: str
    plan: str
    past: PastAnswer
    next: AheadAnswer | None
    basis: str
    message: str
    offers: list[OfferAnswer]


class RiskAnswer(BaseModel):
    """At the pace of the last 30 days, as `basis` says; amounts in minor units. `risks`: `unused`,
    `exhausted`, `renewal`."""

    contract: str
    account: str
    currency: str
    start: str
    end: str
    as_of: str
    basis: str
    risks: list[str]
    expected_unused: int
    expected_unused_range: list[int]
    unused_value: int
    expected_on_demand: int
    on_demand_amount: int
    runs_out_on: str | None
    runs_out_range: list[str] | None
    days_left: int


@router.get(
    "/accounts/{account_id}/advice",
    summary="What a commitment would be worth",
    responses=good(AdviceAnswer) | KEYED | errors(404),
)
def account_advice(
    door: TheDoor,
    _caller: Admin,
    account_id: Annotated[AccountId, Path()],
    offer: Annotated[
        list[str] | None, Query(description="`RUNS:PRICE`, such as `1000000:2000.00`; several may be given.")
    ] = None,
    unit_price: Annotated[
        str | None, Query(description="Of a committed run, of sizes that are looked at by themselves.")
    ] = None,
    plan: Annotated[
        str | None, Query(description="Prices on-demand usage; by default the account's.")
    ] = None,
) -> Response:
    """Over the last twelve whole months, and what is expected of the next twelve."""
    service = door.service
    found = advise(
        service, account_id, now=service.now(), offers=offer or (), unit_price=unit_price, plan=plan
    )
    return answer(found.to_data())


@router.get("/contract-risks", summary="Running contracts by risk", responses=good(list[RiskAnswer]) | KEYED)
def contract_risks_list(door: TheDoor, _caller: Admin) -> Response:
    """By currency, those first of which most is at stake: runs that expire unused, or usage beyond them."""
    service = door.service
    return answer([each.to_data() for each in contract_risks(service, now=service.now())])

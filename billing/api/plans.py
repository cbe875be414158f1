"""/v1/plans: the catalogue."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from billing.accounts import show_account
from billing.api.auth import Admin, Reader
from billing.api.bodies import read_document
from billing.api.door import Door, TheDoor, answer
from billing.api.examples import PLAN
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import AccountId, day_of, month_of
from billing.api.proposals import PROPOSED, proposed
from billing.errors import NotFound
from billing.plan_migration import migrate_plan, preview_plan
from billing.plans import list_plans, show_plan
from billing.pricing.catalogue import PlanVersion
from billing.proposals import Proposal, perform
from billing.proposals.deeds import LOAD_PLANS
from billing.repository.keys import ApiKey
from metering.period import Month

router = APIRouter(prefix="/v1/plans", tags=["plans"])


class BracketAnswer(BaseModel):
    """Up to and including so many runs a month; null: without end. The price is text, in major units."""

    up_to: int | None
    unit_price: str


class PlanAnswer(BaseModel):
    plan: str
    version: str
    effective_from: str
    currency: str
    soft_limit: int | None
    brackets: list[BracketAnswer]


class NewMigration(BaseModel):
    """From a month on; of all accounts on another version of the plan, or of those named."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"from": "2027-01", "dry_run": True}]}
    )

    from_: str = Field(alias="from", description="A month, `YYYY-MM`.")
    accounts: list[AccountId] = Field([], description="These only.")
    protect_until: str | None = Field(
        None, description="Who would pay more is held to what it would pay now, until this day."
    )
    dry_run: bool = Field(False, strict=True, description="Change nothing.")


class MovedAnswer(BaseModel):
    """What the compared month's usage costs before and after, in minor units; `protected_at` is the charge
    that protects the account, where it is."""

    account: str
    from_plan: str
    to_plan: str
    currency: str
    now: int
    then: int
    change: int
    protected_at: int | None


class LeftAlone(BaseModel):
    account: str
    message: str


class TotalsAnswer(BaseModel):
    """What all accounts together pay, in minor units."""

    currency: str
    now: int
    then: int


class MigrationAnswer(BaseModel):
    plan: str
    from_: str = Field(alias="from")
    compared: str = Field(description="The month whose usage was priced twice.")
    dry_run: bool
    pay_more: int = Field(description="How many accounts pay more.")
    accounts: list[MovedAnswer]
    skipped: list[LeftAlone]
    failed: list[LeftAlone]
    totals: list[TotalsAnswer]


PlanPath = Annotated[str, Path(description="`starter` (its newest version in effect) or `starter@2021-02`.")]


def _content() -> dict[str, Any]:
    one = {"$ref": "#/components/schemas/PlanAnswer"}
    many = {"type": "array", "items": one}
    text = {"schema": {"type": "string"}}
    return {
        "application/json": {
            "schema": {"oneOf": [one, many]},
            "examples": {"a plan": {"value": PLAN}, "several": {"value": [PLAN]}},
        },
        "application/yaml": text | {"example": "plan: starter\nversion: 2021-02\n…"},
        "application/toml": text | {"example": 'plan = "starter"\nversion = "2021-02"\n…'},
    }


@router.get(
    "",
    summary="List plan versions",
    responses=good(list[PlanAnswer], headers=LINK_HEADER) | KEYED,
)
def plans_list(door: TheDoor, caller: Reader, page: Paged) -> Response:
    """In the order of their names; a bound key sees those of its account."""
    seen = [version for version in list_plans(door.service.engine) if _may_see(door, caller, version)]
    return page.show(page.cut(seen, _id), _id, PlanVersion.to_data)


@router.post(
    "",
    summary="Load plan versions",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": _content()}},
    responses=good(list[PlanAnswer], description="All of them were there already.")
    | good(list[PlanAnswer], 201, description="Those that are new.")
    | PROPOSED
    | KEYED
    | errors(409, 413, 415),
)
async def plans_load(creating: Creates) -> Response:
    """One plan version or several, all or nothing. A version that exists with other content is refused."""
    text, name = await read_document(creating.request)
    service = creating.service

    def make() -> Created:
        new = perform(service, LOAD_PLANS, {"text": text, "name": name}, by=creating.by)
        if isinstance(new, Proposal):
            return proposed(service, new)
        return Created([version.to_data() for version in new], 201 if new else 200)

    return await creating.once(make)


@router.post(
    "/previews",
    summary="Preview a draft plan",
    openapi_extra={"requestBody": {"required": True, "content": _content()}},
    responses=good(MigrationAnswer) | KEYED | errors(413, 415),
)
async def plans_preview(
    request: Request,
    door: TheDoor,
    _caller: Admin,
    instead_of: Annotated[
        str | None, Query(description="The plan whose accounts to compare; by default the draft's own.")
    ] = None,
) -> Response:
    """What a plan version that is not loaded would do: the usage of the last whole month, of each account on
    another version of its plan, priced on both. Nothing is changed, nor loaded."""
    text, name = await read_document(request)
    service = door.service
    report = await run_in_threadpool(
        preview_plan, service.engine, service.store, text, name, now=service.now(), instead_of=instead_of
    )
    return answer(report.to_data())


@router.get(
    "/{plan}",
    summary="Show a plan version",
    responses=good(PlanAnswer) | KEYED | errors(404),
)
def plans_show(
    door: TheDoor,
    caller: Reader,
    plan: PlanPath,
) -> Response:
    version = show_plan(door.service.engine, plan, Month.of(door.service.now()))
    if not _may_see(door, caller, version):
        raise NotFound(f"there is no plan {plan!r}", field="plan")
    return answer(version.to_data())


@router.post(
    "/{plan}/migrations",
    summary="Move accounts to a plan version",
    responses=good(MigrationAnswer) | KEYED | errors(404, 409),
)
async def plans_migrate(creating: Creates, plan: PlanPath, body: NewMigration) -> Response:
    """The usage of the last whole month is priced on both plans; who would pay more comes first. `failed`
    accounts stay as they are."""
    service = creating.service

    def make() -> Created:
        report = migrate_plan(
            service.engine,
            service.store,
            plan,
            month_of(body.from_, "from"),
            account_ids=body.accounts,
            protect_until=day_of(body.protect_until, "protect_until"),
            dry_run=body.dry_run,
            by=creating.by,
            now=service.now(),
        )
        return Created(report.to_data(), 200)

    return await creating.once(make)


def _may_see(door: Door, caller: ApiKey, version: PlanVersion) -> bool:
    """A bound key sees the plans that price some month of its account: others may be another's terms."""
    if caller.account is None:
        return True
    try:
        account = show_account(door.service.engine, caller.account)
    except NotFound:
        return False
    return version.id in account.terms.plan_ids()


def _id(version: PlanVersion) -> str:
    return version.id

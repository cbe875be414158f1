"""/v1/plans: the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from billing.accounts import show_account
from billing.api.auth import Admin, Reader
from billing.api.door import Door, TheDoor, answer
from billing.api.examples import PLAN
from billing.api.idempotency import Created, IdempotencyKey, once
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.problems import ProblemError
from billing.errors import Invalid, NotFound
from billing.plans import list_plans, load_plan_text, show_plan
from billing.pricing.catalogue import PlanVersion
from billing.repository.keys import ApiKey
from metering.period import Month

router = APIRouter(prefix="/v1/plans", tags=["plans"])

_SUFFIX_OF: Mapping[str, str] = {
    "application/json": ".json",
    "application/yaml": ".yaml",
    "application/toml": ".toml",
}


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
    | KEYED
    | errors(409, 413, 415),
)
async def plans_load(
    request: Request, door: TheDoor, caller: Admin, idempotency_key: IdempotencyKey = None
) -> Response:
    """One plan version or several, all or nothing. A version that exists with other content is refused."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    suffix = _SUFFIX_OF.get(content_type)
    if suffix is None:
        raise ProblemError(
            415, f"Content-Type {content_type!r} is not read here; send one of {', '.join(_SUFFIX_OF)}"
        )
    try:
        text = (await request.body()).decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8 text", field="body") from None
    service = door.service

    def make() -> Created:
        new = load_plan_text(service.engine, text, f"the body{suffix}", service.now())
        return Created([version.to_data() for version in new], 201 if new else 200)

    return await once(service, request, caller, idempotency_key, make)


@router.get(
    "/{plan}",
    summary="Show a plan version",
    responses=good(PlanAnswer) | KEYED | errors(404),
)
def plans_show(
    door: TheDoor,
    caller: Reader,
    plan: Annotated[str, Path(description="`starter` (its newest version in effect) or `starter@2021-02`.")],
) -> Response:
    version = show_plan(door.service.engine, plan, Month.of(door.service.now()))
    if not _may_see(door, caller, version):
        raise NotFound(f"there is no plan {plan!r}", field="plan")
    return answer(version.to_data())


def _may_see(door: Door, caller: ApiKey, version: PlanVersion) -> bool:
    """A bound key sees the plans that its account is or was enrolled in: others may be another's terms."""
    if caller.account is None:
        return True
    try:
        account = show_account(door.service.engine, caller.account)
    except NotFound:
        return False
    return version.id in {enrolment.plan_id for enrolment in account.terms.enrolments}


def _id(version: PlanVersion) -> str:
    return version.id

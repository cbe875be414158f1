"""/v1/contracts: committed usage."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.api.auth import Admin, Reader, author
from billing.api.bodies import read_document
from billing.api.contract_shapes import ContractAnswer, ContractSummary
from billing.api.door import TheDoor, answer
from billing.api.examples import CONTRACT
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import Amend, Amount, Reason, Runs, day_of, month_of
from billing.app import Service
from billing.contracts import (
    add_grant,
    amend_contract,
    deliver,
    list_contracts,
    load_contract_text,
    withdraw_contract,
)
from billing.pricing.contract import Contract
from billing.pricing.contract_file import contract_to_data
from billing.run_balance import contract_with_balance
from metering.period import day_of as day_of_instant

router = APIRouter(prefix="/v1/contracts", tags=["contracts"])

ContractPath = Annotated[str, Path(description="The contract.", examples=["acme-2027"])]


class NewGrant(BaseModel):
    """Task runs, as in a contract's file; `price` is that of the grant as a whole."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"runs": 500000, "price": "450.00", "granted_on": "2027-07-01"}]},
    )

    runs: Runs
    price: Amount
    granted_on: str = Field(description="The first day they serve, `YYYY-MM-DD`.")
    expires_on: str | None = Field(None, description="The first day without; by default the term's end.")
    id: str | None = Field(None, description="By default the next of g1, g2, …")
    amend: Amend = False
    reason: Reason = ""


class NewAmendment(BaseModel):
    """Another end of the term, or another plan for on-demand usage from a month on, or both."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"end": "2028-07-01", "extend_grants": True}]}
    )

    end: str | None = Field(None, description="The first of a month, `YYYY-MM-DD`.")
    extend_grants: bool = Field(
        False, strict=True, description="Grants that ended with the old term end with the new one."
    )
    plan: str | None = None
    from_: str | None = Field(None, alias="from", description="The plan's first month, `YYYY-MM`.")
    amend: Amend = False
    reason: Reason = ""


class NewDelivery(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"service": "Onboarding", "on": "2027-02-01"}]}
    )

    service: str = Field(description="Its description, or its number in the contract as text.")
    on: str | None = Field(None, description="A day, `YYYY-MM-DD`; by default today.")


def _content() -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    return {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/ContractSummary"},
            "examples": {"a contract": {"value": CONTRACT}},
        },
        "application/yaml": text | {"example": "id: acme-2027\naccount: acme\n…"},
        "application/toml": text | {"example": 'id = "acme-2027"\naccount = "acme"\n…'},
    }


@router.get(
    "",
    summary="List contracts",
    responses=good(list[ContractSummary], headers=LINK_HEADER) | KEYED,
)
def contracts_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="Of one account.")] = None,
) -> Response:
    """In the order of their ids; a bound key sees those of its account."""
    found: list[Contract] = []
    if caller.account is None or account in (None, caller.account):
        found = list_contracts(
            door.service.engine, account=caller.account or account, after=page.after, limit=page.fetch
        )
    return page.show(found, lambda contract: contract.id, contract_to_data)


@router.post(
    "",
    summary="Add a contract",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": _content()}},
    responses=good(ContractAnswer, 201) | KEYED | errors(404, 409, 413, 415),
)
async def contracts_add(
    creating: Creates,
    amend: Annotated[
        bool, Query(description="Also where its term reaches into invoiced months; the next invoice adjusts.")
    ] = False,
    reason: Annotated[str, Query(description="Why, for the history.")] = "",
) -> Response:
    """In the shape of a contract's file. A term is whole months; an account is under one contract at a
    time."""
    text, name = await read_document(creating.request)
    service = creating.service

    def make() -> Created:
        made = load_contract_text(
            service.engine, text, name, by=creating.by, now=service.now(), amend=amend, reason=reason
        )
        return Created(_shown(service, made.id), location=f"/v1/contracts/{made.id}")

    return await creating.once(make)


@router.get(
    "/{contract_id}",
    summary="Show a contract",
    responses=good(ContractAnswer) | KEYED | errors(404),
)
def contracts_show(door: TheDoor, caller: Reader, contract_id: ContractPath) -> Response:
    """Its run ledger is brought up to date first: of days that are over."""
    return answer(_shown(door.service, contract_id, account=caller.account))


@router.post(
    "/{contract_id}/grants",
    summary="Grant more task runs",
    status_code=201,
    responses=good(ContractAnswer, 201) | KEYED | errors(404, 409),
)
async def contracts_grant(creating: Creates, contract_id: ContractPath, body: NewGrant) -> Response:
    """They serve usage from `granted_on` on. Answers the contract."""
    service = creating.service

    def make() -> Created:
        add_grant(
            service.engine,
            contract_id,
            body.runs,
            body.price,
            day_of(body.granted_on, "granted_on"),
            expires_on=day_of(body.expires_on, "expires_on"),
            grant_id=body.id,
            by=creating.by,
            now=service.now(),
            amend=body.amend,
            reason=body.reason,
        )
        return Created(_shown(service, contract_id))

    return await creating.once(make)


@router.post(
    "/{contract_id}/amendments",
    summary="Amend a contract",
    responses=good(ContractAnswer) | KEYED | errors(404, 409),
)
async def contracts_amend(creating: Creates, contract_id: ContractPath, body: NewAmendment) -> Response:
    """Where both are given, both change or none. Answers the contract."""
    service = creating.service

    def make() -> Created:
        amend_contract(
            service.engine,
            contract_id,
            end=day_of(body.end, "end"),
            extend_grants=body.extend_grants,
            plan=body.plan,
            from_month=None if body.from_ is None else month_of(body.from_, "from"),
            by=creating.by,
            now=service.now(),
            amend=body.amend,
            reason=body.reason,
        )
        return Created(_shown(service, contract_id), 200)

    return await creating.once(make)


@router.post(
    "/{contract_id}/deliveries",
    summary="Record that a service was delivered",
    status_code=201,
    responses=good(ContractAnswer, 201) | KEYED | errors(404, 409),
)
async def contracts_deliver(creating: Creates, contract_id: ContractPath, body: NewDelivery) -> Response:
    """Answers the contract."""
    service = creating.service

    def make() -> Created:
        now = service.now()
        on = day_of(body.on, "on") or day_of_instant(now)
        deliver(service.engine, contract_id, body.service, on, by=creating.by, now=now)
        return Created(_shown(service, contract_id))

    return await creating.once(make)


@router.delete(
    "/{contract_id}",
    summary="Withdraw a contract",
    status_code=204,
    responses=KEYED | errors(404, 409),
)
def contracts_withdraw(
    door: TheDoor,
    caller: Admin,
    contract_id: ContractPath,
    reason: Annotated[str, Query(description="Why, for the history.")] = "",
) -> Response:
    """One that was added by mistake, as long as nothing of it, and no month of its term, was invoiced."""
    withdraw_contract(
        door.service.engine, contract_id, by=author(caller), now=door.service.now(), reason=reason
    )
    return Response(status_code=204)


def _shown(service: Service, contract_id: str, *, account: str | None = None) -> dict[str, object]:
    return contract_with_balance(service.engine, service.store, contract_id, service.now(), account=account)

"""/v1/alerts and /v1/accounts/{id}/alerts: thresholds that were reached, and what an account has chosen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.alerts.checking import account_alerts, alert_data, check_alerts, list_alerts
from billing.alerts.settings import NO_BUDGET, set_alerts
from billing.api.accounts import AccountPath
from billing.api.auth import Admin, Reader, author, check_account
from billing.api.door import TheDoor, answer
from billing.api.idempotency import Created, Creates
from billing.api.openapi import KEYED, errors, good
from billing.api.paging import LINK_HEADER, Paged
from billing.api.params import AccountId, Amount, MonthQuery, month_of

router = APIRouter(prefix="/v1", tags=["alerts"])


class AlertAnswer(BaseModel):
    """A threshold (percent of `limit`) that was reached, or by forecast will be: `basis` says which. `kind`
    is free_runs, budget or commitment; `period` a month or a contract. In task runs, or with a `currency` in
    its minor units."""

    id: str
    account: str
    kind: str
    period: str
    basis: str
    threshold: int
    limit: int
    value: int
    currency: str | None
    message: str
    reached_at: str


class FigureAnswer(BaseModel):
    """How much of a limit is used so far; `forecast` is null where there is nothing to go by."""

    kind: str
    period: str
    limit: int
    actual: int
    forecast: int | None
    currency: str | None


class AccountAlertsAnswer(BaseModel):
    account: str
    month: str
    currency: str
    budget: int | None = Field(description="A month, in minor units; null: none.")
    mail: bool
    figures: list[FigureAnswer]


class AlertsBody(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"budget": "500.00", "mail": True}]}
    )

    budget: Amount | None = Field(None, description=f"A month, in major units; null or {NO_BUDGET!r}: none.")
    mail: bool | None = Field(None, strict=True, description="Whether alerts go to its e-mail address too.")


class CheckBody(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"account": "acme"}]})

    account: AccountId | None = Field(None, description="Only this one; by default all.")


@router.get(
    "/alerts",
    summary="List the thresholds that were reached",
    responses=good(list[AlertAnswer], headers=LINK_HEADER) | KEYED,
)
def alerts_list(
    door: TheDoor,
    caller: Reader,
    page: Paged,
    account: Annotated[str | None, Query(description="Of one account.")] = None,
    month: MonthQuery = None,
) -> Response:
    """In the order in which they were reached; a bound key sees those of its account."""
    if caller.account is not None and account not in (None, caller.account):
        return answer([])
    found = list_alerts(
        door.service.engine,
        account=caller.account or account,
        month=None if month is None else month_of(month),
        page=page.wanted,
    )
    return page.show(found, lambda alert: alert.id, alert_data)


@router.post(
    "/alerts/checks",
    summary="Compare usage with thresholds now",
    status_code=201,
    responses=good(list[AlertAnswer], 201) | KEYED | errors(404, 409),
)
async def alerts_check(creating: Creates, body: CheckBody) -> Response:
    """As the schedule does every five minutes; the answer has what was reached and not told before."""
    service = creating.service

    def make() -> Created:
        found = check_alerts(
            service.engine,
            service.store,
            service.now(),
            grace_hours=service.settings.grace_hours,
            account=body.account,
        )
        return Created([alert_data(each) for each in found])

    return await creating.once(make)


@router.get(
    "/accounts/{account_id}/alerts",
    summary="Show an account's budget and limits",
    responses=good(AccountAlertsAnswer) | KEYED | errors(404),
)
def account_alerts_show(door: TheDoor, caller: Reader, account_id: AccountPath) -> Response:
    """How much of the month's free runs, of the budget and of committed runs is used, now and by forecast."""
    check_account(caller, account_id)
    service = door.service
    return answer(account_alerts(service.engine, service.store, account_id, service.now()))


@router.patch(
    "/accounts/{account_id}/alerts",
    summary="Set an account's budget, and whether alerts come by mail",
    responses=good(AccountAlertsAnswer) | KEYED | errors(404),
)
def account_alerts_set(door: TheDoor, caller: Admin, account_id: AccountPath, body: AlertsBody) -> Response:
    """What is left out stays as it is."""
    service = door.service
    budget = NO_BUDGET if "budget" in body.model_fields_set and body.budget is None else body.budget
    set_alerts(
        service.engine, account_id, budget=budget, mail=body.mail, by=author(caller), now=service.now()
    )
    return answer(account_alerts(service.engine, service.store, account_id, service.now()))

"""What is at risk in the contracts that run, and what a commitment would be worth to an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from billing.accounts import show_account
from billing.advice.operation import advise
from billing.advice.risks import contract_risks
from billing.console.visit import Visit
from billing.console.work import Stages, report_of
from billing.errors import Invalid

SUBJECT = "contracts"


def risks(visit: Visit) -> Response:
    """As they were looked at last: all contracts take some milliseconds each."""
    held = visit.work.last("risks", SUBJECT)
    return visit.page("risks.html", job=held, found=report_of(held))


def start(visit: Visit) -> Response:
    service = visit.service

    def do(_stages: Stages) -> Mapping[str, Any]:
        return {"contracts": [each.to_data() for each in contract_risks(service, now=service.now())]}

    return visit.begin("risks", SUBJECT, do)


def show(visit: Visit) -> Response:
    """Of sizes that suggest themselves, or of offers that are asked for."""
    account = show_account(visit.service.engine, visit.param("account"))
    asked = {"offers": visit.query("offers"), "unit_price": visit.query("unit_price", 30)}
    asked["plan"] = visit.query("plan", 80)
    found, wrong = None, None
    try:
        found = advise(
            visit.service,
            account.id,
            now=visit.now,
            offers=asked["offers"].replace(",", " ").split(),
            unit_price=asked["unit_price"] or None,
            plan=asked["plan"] or None,
        ).to_data()
    except Invalid as error:
        wrong = str(error)
    status = 200 if wrong is None else 422
    return visit.page("advice.html", status, account=account, asked=asked, found=found, wrong=wrong)

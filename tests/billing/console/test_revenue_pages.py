"""The pages of revenue and of advice say what the other doors say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from billing.advice.operation import advise
from billing.advice.risks import contract_risks
from billing.contracts import add_contract
from billing.pricing.money import format_amount
from tests.billing.api.client import Client, running
from tests.billing.console.conftest import Operator, text_of
from tests.billing.exports.world import busy_month
from tests.billing.pricing.contracts import acme, grant
from tests.conftest import NewDatabase
from tests.world import OCTOBER


@pytest.fixture(scope="module")
def busy(sqlite_databases: NewDatabase) -> Iterator[Client]:
    with running(busy_month(sqlite_databases())) as client:
        yield client


def test_the_revenue_of_a_month(busy: Client) -> None:
    finance, viewer = Operator(busy, "finance"), Operator(busy, "viewer")
    place = f"months/{OCTOBER}/revenue"
    assert "Not made yet" in viewer.get(place) and "<form class" not in viewer.get(place)
    assert "To the report" in finance.do(place, ("as_of", "2026-10-31"))
    page = text_of(viewer.get(place))
    assert "Everything ties" in page
    for found in busy.get(f"/v1/months/{OCTOBER}/revenue").json()["currencies"]:
        for amount in (found["revenue"]["total"], found["not_billed"]["total"], found["deferred"]["closing"]):
            assert format_amount(amount, found["currency"]) in page
    assert "globex-1" in page and "700 runs" in page
    wrong = finance.post(place, ("as_of", "soon"))
    assert wrong.status_code == 422 and "is not a date" in wrong.text
    for bad in ("2026-09-30", "2036-10-31"):
        wrong = finance.post(place, ("as_of", bad))
        assert wrong.status_code == 422 and "must be from 2026-10-01 to" in wrong.text
        assert "Everything ties" in text_of(wrong.text)  # the last report stays
    assert "Everything ties" in text_of(viewer.get(place))
    ahead = finance.post("months/2036-10/revenue", ("as_of", ""))
    assert ahead.status_code == 422 and "2036-10 has not begun" in ahead.text


def test_contracts_by_risk_and_advice(busy: Client) -> None:
    world = busy.world
    viewer, finance = Operator(busy, "viewer"), Operator(busy, "finance")
    assert "Nobody has looked yet" in viewer.get("contracts/risks")
    held = acme(
        grant("g1", 1_000, "2026-11-01", "2027-11-01", 5_000), start=date(2026, 11, 1), end=date(2027, 11, 1)
    )
    add_contract(world.engine, held, by="operator", now=world.instant)
    finance.do("contracts/risks")
    page = text_of(viewer.get("contracts/risks"))
    risks = contract_risks(world.service, now=world.instant)
    assert risks
    for each in risks:
        assert each.contract.id in page and f"{each.unused:,}" in page
    shown = text_of(viewer.get("accounts/acme/advice?offers=20000:5.00 30000:6.00"))
    asked = advise(world.service, "acme", now=world.instant, offers=["20000:5.00", "30000:6.00"])
    for offer in asked.offers:
        assert f"{offer.offer.runs:,}" in shown
        assert format_amount(offer.past.break_even_price, "USD") in shown
    assert "is not an offer" in text_of(viewer.get("accounts/acme/advice?offers=cheap", status=422))
    viewer.get("accounts/nobody/advice", status=404)

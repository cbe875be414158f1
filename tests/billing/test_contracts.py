"""Contracts in the books: added, amended, drawn, invoiced and reported; on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa
from freezegun import freeze_time

from billing.contract_invoices import invoice_contracts, report_contract
from billing.contracts import (
    add_grant,
    amend_contract,
    contract_data,
    deliver,
    list_contracts,
    load_contract_text,
    show_contract,
    withdraw_contract,
)
from billing.errors import Invalid, NotFound, Refused
from billing.invoices import invoice_data, list_invoices
from billing.jobs import Jobs
from billing.plans import load_plan_text
from billing.reporting.proof import invoice_run_list, verify
from billing.run_balance import record_contract_runs
from billing.tables import run_ledger
from billing.terms import list_terms
from metering.database import reading
from metering.period import DAY_US, Month, day_start, parse_instant
from tests.events import runs
from tests.world import World

DOLLAR = """{"plan": "dollar", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": 2, "unit_price": "0"}, {"up_to": null, "unit_price": "1"}]}"""
CONTRACT = """
id: acme-2026
account: acme
start: 2026-01-01
end: 2027-01-01
plan: dollar
currency: USD
instalments: quarterly
grants:
  - {id: g1, runs: 10, price: "100.01"}
services:
  - {description: Onboarding, price: "1500.00", due_on: 2026-01-15}
  - {description: Support, price: "0.00", due_on: 2026-01-01}
"""


@pytest.fixture
def world(engine: sa.Engine) -> World:
    made = World(engine, now=parse_instant("2026-01-10T12:00:00Z"))
    load_plan_text(engine, DOLLAR, "dollar.json", made.instant)
    made.account()
    load_contract_text(engine, CONTRACT, "acme.yaml", by="ann", now=made.instant)
    return made


def go_to(world: World, day: str) -> None:
    world.instant = parse_instant(f"{day}T12:00:00Z")


def ledger(world: World) -> list[tuple[str, str, str, int]]:
    record_contract_runs(world.engine, world.store, "acme-2026", world.instant)
    data = contract_data(world.engine, show_contract(world.engine, "acme-2026"))
    entries = data["ledger"]
    assert isinstance(entries, list)
    return [(each["kind"], each["grant"], each["effective_on"], each["quantity"]) for each in entries]


def invoice(world: World, as_of: str) -> list[tuple[str | None, list[tuple[str, int]]]]:
    made = invoice_contracts(world.engine, date.fromisoformat(as_of), now=world.instant)
    return [(each.number, [(line.description, line.amount) for line in each.lines]) for each in made]


def test_a_month_under_contract_is_drawn_and_the_rest_is_on_demand(world: World) -> None:
    world.send(runs(7, day="2026-01-05", prefix="a"), runs(8, day="2026-01-31", prefix="b"))
    go_to(world, "2026-02-02")
    (january,) = world.service.run_month(Month.parse("2026-01")).invoices
    assert (january.billable, january.drawn, january.contract, january.plan) == (
        15,
        10,
        "acme-2026",
        "dollar@1",
    )
    assert [(line.kind.value, line.quantity, line.amount) for line in january.lines] == [
        ("on_demand", 2, 0),
        ("on_demand", 3, 300),
    ]
    shown = invoice_data(world.engine, january, world.instant)
    assert shown["contract"] == {"id": "acme-2026", "drawn": 10, "on_demand": 5}
    assert shown["notes"] == ["10 task runs were drawn from the committed runs of contract acme-2026."]
    assert sum(1 for _ in invoice_run_list(world.engine, world.store, january.id)) == 16
    assert verify(world.engine, world.store, january.id).ok


def test_the_ledger_is_only_ever_added_to(world: World) -> None:
    world.send(runs(4, day="2026-01-05", prefix="a"), runs(1, day="2026-01-10", prefix="today"))
    before = ledger(world)
    assert before == [("grant", "g1", "2026-01-01", 10), ("usage", "g1", "2026-01-05", -4)]
    go_to(world, "2026-01-11")
    world.send(runs(2, day="2026-01-05", prefix="late"))
    assert ledger(world) == [
        *before,
        ("correction", "g1", "2026-01-05", -2),
        ("usage", "g1", "2026-01-10", -1),
    ]
    assert ledger(world)[4:] == []
    go_to(world, "2027-01-01")
    assert ledger(world)[4:] == [("expiry", "g1", "2027-01-01", -3)]
    with reading(world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.sum(run_ledger.c.quantity))) == 0


def test_what_is_due_is_invoiced_once(world: World) -> None:
    assert invoice(world, "2026-01-10") == [
        ("2026-01-000001", [("Instalment 1 of 4, due 2026-01-01: 10 task runs (grant g1)", 2501)])
    ]
    assert invoice(world, "2026-01-14") == []
    go_to(world, "2026-07-01")
    due = invoice(world, "2026-07-01")
    assert [(number, [amount for _, amount in lines]) for number, lines in due] == [
        ("2026-07-000001", [2500, 2500, 150_000])
    ]
    go_to(world, "2027-06-01")
    assert [amount for _, lines in invoice(world, "2027-06-01") for _, amount in lines] == [2500]
    assert sum(each.total for each in list_invoices(world.engine)) == 10_001 + 150_000
    for each in list_invoices(world.engine):
        assert (each.kind, each.status, verify(world.engine, world.store, each.id).ok) == (
            "contract",
            "finalized",
            True,
        )
        with pytest.raises(Invalid, match="is for a contract, and has no task runs"):
            invoice_run_list(world.engine, world.store, each.id)


def test_eight_at_once_invoice_it_once(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda _: invoice_contracts(world.engine, date(2026, 4, 1), now=world.instant), range(8))
        )
    assert sorted(len(each) for each in made) == [0] * 7 + [1]
    assert [each.total for each in list_invoices(world.engine)] == [2501 + 2500 + 150_000]


def test_the_daily_job_records_and_invoices(world: World) -> None:
    world.send(runs(4, day="2026-01-05"))
    with freeze_time("2026-01-16T00:10:00Z"):
        world.instant = parse_instant("2026-01-16T00:10:00Z")
        Jobs(world.service, "one").daily()
        Jobs(world.service, "one").daily()
    assert [each.total for each in list_invoices(world.engine)] == [2501 + 150_000]
    with reading(world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.sum(run_ledger.c.quantity))) == 6


def test_more_runs_serve_from_their_day_on(world: World) -> None:
    world.send(runs(12, day="2026-01-05", prefix="a"), runs(5, day="2026-01-20", prefix="b"))
    add_grant(
        world.engine, "acme-2026", 4, "40.00", date(2026, 1, 20), by="ann", now=world.instant, reason="top-up"
    )
    go_to(world, "2026-02-02")
    (january,) = world.service.run_month(Month.parse("2026-01")).invoices
    assert (january.drawn, january.total) == (14, 100)
    assert [grant.id for grant in show_contract(world.engine, "acme-2026").grants] == ["g1", "g2"]
    history = list_terms(world.engine, "acme")
    assert [(each["kind"], each["author"], each["reason"]) for each in history] == [
        ("plan", "operator", ""),
        ("contract", "ann", ""),
        ("grant", "ann", "top-up"),
    ]


def test_an_invoiced_month_changes_by_amendment_alone(world: World) -> None:
    world.send(runs(15, day="2026-01-05"))
    go_to(world, "2026-02-02")
    (january,) = world.service.run_month(Month.parse("2026-01")).invoices
    assert january.total == 300
    how = {"by": "ann", "now": world.instant}
    with pytest.raises(Refused, match="invoiced for 2026-01 already, which this would change"):
        add_grant(world.engine, "acme-2026", 4, "40.00", date(2026, 1, 1), **how)  # type: ignore[arg-type]
    assert [grant.id for grant in show_contract(world.engine, "acme-2026").grants] == ["g1"]
    add_grant(
        world.engine, "acme-2026", 4, "40.00", date(2026, 1, 1), amend=True, by="ann", now=world.instant
    )
    assert list_terms(world.engine, "acme")[-1]["amendment"] is True
    world.send(runs(3, day="2026-02-01", prefix="feb"))
    go_to(world, "2026-03-02")
    (february,) = world.service.run_month(Month.parse("2026-02")).invoices
    assert [(line.kind.value, line.quantity, line.amount) for line in february.lines] == [
        ("on_demand", 2, 0),
        ("on_demand", 1, 100),
        ("adjustment", -4, -300),
        ("carried", 1, 200),
    ]
    for each in (january, february):
        assert verify(world.engine, world.store, each.id).ok


def test_the_term_ends_elsewhere(world: World) -> None:
    amend_contract(world.engine, "acme-2026", end=date(2026, 7, 1), by="ann", now=world.instant)
    assert [each.expires_on for each in show_contract(world.engine, "acme-2026").grants] == [date(2026, 7, 1)]
    assert [amount for _, lines in invoice(world, "2026-12-01") for _, amount in lines] == [
        5001,
        5000,
        150_000,
    ]
    with pytest.raises(Invalid, match="inside a month"):
        amend_contract(world.engine, "acme-2026", end=date(2026, 8, 2), by="ann", now=world.instant)


def test_a_contract_by_mistake_is_withdrawn_and_may_be_written_again(world: World) -> None:
    with pytest.raises(Refused, match="there is a contract acme-2026 already, of account acme"):
        load_contract_text(world.engine, CONTRACT, "acme.yaml", by="ann", now=world.instant)
    ledger(world)
    withdraw_contract(world.engine, "acme-2026", by="ann", now=world.instant)
    assert list_contracts(world.engine) == []
    with pytest.raises(NotFound):
        show_contract(world.engine, "acme-2026")
    load_contract_text(world.engine, CONTRACT, "acme.yaml", by="ann", now=world.instant)
    invoice(world, "2026-01-10")
    with pytest.raises(Refused, match="was invoiced; end it instead"):
        withdraw_contract(world.engine, "acme-2026", by="ann", now=world.instant)


def test_services_are_delivered_once(world: World) -> None:
    on = date(2026, 1, 9)
    with pytest.raises(Invalid, match="2026-01-11 is still to come"):
        deliver(world.engine, "acme-2026", "1", date(2026, 1, 11), by="ann", now=world.instant)
    deliver(world.engine, "acme-2026", "onboarding", on, by="ann", now=world.instant)
    with pytest.raises(Refused, match="service 1 of contract acme-2026 was delivered on 2026-01-09"):
        deliver(world.engine, "acme-2026", "1", on, by="ann", now=world.instant)
    for wrong in ("3", "0", "Training"):
        with pytest.raises(Invalid, match="name it by its number: 1 Onboarding; 2 Support"):
            deliver(world.engine, "acme-2026", wrong, on, by="ann", now=world.instant)
    report, _ = report_contract(world.engine, world.store, "acme-2026", on)
    assert [row.delivered_on for row in report.services] == [on, None]


def test_the_report_says_what_the_ledger_and_the_invoices_say(world: World) -> None:
    world.send(runs(4, day="2026-01-05", prefix="a"), runs(9, day="2026-02-03", prefix="b"))
    invoice(world, "2026-01-10")
    report, name = report_contract(world.engine, world.store, "acme-2026", date(2026, 2, 10))
    data = report.to_data()
    assert (name, data["committed"], data["used"], data["remaining"]) == ("acme", 10, 10, 0)
    months = data["months"]
    assert isinstance(months, list)
    assert [(m["month"], m["drawn"], m["on_demand"], m["on_demand_amount"]) for m in months] == [
        ("2026-01", 4, 0, 0),
        ("2026-02", 6, 3, 100),
    ]
    instalments = data["instalments"]
    assert isinstance(instalments, list)
    assert [each["status"] for each in instalments] == ["invoiced", "upcoming", "upcoming", "upcoming"]
    with pytest.raises(NotFound):
        report_contract(world.engine, world.store, "acme-2026", date(2026, 2, 10), account="other")


def test_another_plan_from_a_month_on(world: World) -> None:
    amend_contract(
        world.engine,
        "acme-2026",
        plan="standard",
        from_month=Month.parse("2026-02"),
        by="ann",
        now=world.instant,
    )
    world.send(runs(13, day="2026-01-05", prefix="a"), runs(3, day="2026-02-05", prefix="b"))
    go_to(world, "2026-03-02")
    totals = [
        (each.plan, each.total)
        for month in ("2026-01", "2026-02")
        for each in world.service.run_month(Month.parse(month)).invoices
    ]
    assert totals == [("dollar@1", 100), ("standard@2021-02", 0)]
    report, _ = report_contract(world.engine, world.store, "acme-2026", date(2026, 2, 28))
    assert [row.on_demand_amount for row in report.months] == [100, 0]


def test_after_the_term_the_account_is_a_monthly_one_on_the_contracts_plan(world: World) -> None:
    world.send(runs(3, day="2027-01-05"))
    world.instant = day_start(date(2027, 2, 2)) + DAY_US
    (january,) = world.service.run_month(Month.parse("2027-01")).invoices
    assert (january.plan, january.contract, january.drawn, january.total) == ("dollar@1", None, None, 100)


NEXT = CONTRACT.replace("2027", "2029").replace("2026", "2028")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("account: acme", "account: nobody", "there is no account 'nobody'"),
        ("currency: USD", "currency: EUR", "is in EUR, account acme is billed in USD"),
        ("plan: dollar", "plan: gold", "there is no plan 'gold'"),
        ("start: 2028-01-01", "start: 2026-12-01", "overlaps with contract acme-2026"),
        ("start: 2028-01-01", "start: 2028-01-02", "starts on 2028-01-02, inside a month"),
        ("end: 2029-01-01", "end: 2028-12-31", "ends on 2028-12-31, inside a month"),
        ("end: 2029-01-01", "end: 2027-01-01", "not after its start"),
        ('price: "100.01"', 'price: "-1"', "the price is negative"),
        ('price: "100.01"', 'price: "1.001"', "has 3 digits after the point"),
        ("runs: 10,", "runs: 10, granted_on: 2027-12-31,", "is not inside the contract's term"),
        ("runs: 10,", "runs: 10, expires_on: 2029-01-02,", "is not inside the contract's term"),
        ("runs: 10,", "runs: 10, expires_on: 2028-01-01,", "is not after it is granted"),
        ("runs: 10,", "runs: -10,", "runs must be a whole number"),
        ("instalments: quarterly", "instalments: weekly", "instalments 'weekly'"),
    ],
)
def test_what_cannot_be_a_contract_is_refused_and_nothing_is_written(
    world: World, old: str, new: str, sentence: str
) -> None:
    before = list_terms(world.engine, "acme"), list_contracts(world.engine)
    assert old in NEXT
    with pytest.raises((Invalid, NotFound, Refused), match=sentence):
        load_contract_text(world.engine, NEXT.replace(old, new), "next.yaml", by="ann", now=world.instant)
    assert (list_terms(world.engine, "acme"), list_contracts(world.engine)) == before

"""When runs arrive does not change what is paid for them in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import add_account
from billing.contracts import add_contract
from billing.credits import add_credit, show_credit
from billing.plans import load_plan_text
from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.line import LineKind
from billing.programs import apply_program
from billing.repository import contracts as contract_rows
from billing.repository.invoices import Invoice
from billing.run_balance import record_contract_runs
from metering.database import reading
from metering.period import Month
from tests.examples import share
from tests.scenarios.audit import check_credit_ledger, check_run_ledger
from tests.scenarios.office import Office, QuantityFeed, hurried

MONTHS = [Month(2026, number) for number in range(1, 5)]
LAST = Month(2026, 5)
CREDIT = 150

PLAN = {
    "plan": "tiny",
    "version": "1",
    "effective_from": "2021-01-01",
    "currency": "USD",
    "brackets": [
        {"up_to": 10, "unit_price": "0"},
        {"up_to": 50, "unit_price": "0.0333"},
        {"up_to": None, "unit_price": "0.005"},
    ],
}

# Runs of a day, and how many steps after their month they arrive, each part of them.
arrivals = st.lists(
    st.tuples(
        st.sampled_from(range(4)),
        st.integers(1, 28),
        st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40)), min_size=1, max_size=4),
    ),
    max_size=8,
)


def _open(engine: sa.Engine, *, contract: bool) -> Office:
    hurried(engine)
    office = Office(engine, QuantityFeed())
    office.open(date(2026, 7, 2))
    load_plan_text(engine, json.dumps(PLAN), "plan.json", office.now)
    add_account(engine, "acme", now=office.now, currency="USD", plan="tiny", billing_from=MONTHS[0])
    add_credit(engine, "acme", f"{CREDIT / 100:.2f}", "goodwill", by="test", now=office.now)
    apply_program(
        engine,
        "acme",
        "academia",
        percent="33.3",
        starts_on=date(2026, 2, 10),
        until=date(2026, 4, 2),
        by="test",
        now=office.now,
    )
    if contract:
        term = (date(2026, 1, 1), date(2026, 4, 1))
        grants = (
            Grant("g1", 40, 0, date(2026, 1, 10), date(2026, 2, 20)),
            Grant("g2", 50, 0, date(2026, 2, 1), date(2026, 4, 1)),
        )
        made = Contract("c", "acme", *term, "tiny", "USD", Instalments.UPFRONT, grants)
        add_contract(engine, made, by="test", now=office.now)
    return office


def _billed(made: list[Invoice], month: Month) -> int:
    taken = (LineKind.CREDIT, LineKind.CARRIED)
    return sum(
        line.amount
        for each in made
        for line in each.lines
        if line.kind not in taken and (line.month or each.month) == month
    )


@share(30)
@given(arrivals, st.booleans(), st.integers(0, 4))
def test_late_runs_are_paid_for_as_if_they_had_come_in_time(
    sqlite_databases: Callable[[], sa.Engine],
    arrivals: list[tuple[int, int, list[tuple[int, int]]]],
    contract: bool,
    again: int,
) -> None:
    late, timely = (_open(sqlite_databases(), contract=contract) for _ in range(2))
    for step, month in enumerate([*MONTHS, LAST]):
        for place, day, parts in arrivals:
            on = date(2026, MONTHS[place].number, day)
            for delay, quantity in parts:
                if step == min(place + delay, len(MONTHS)):
                    late.send(late.sender("acme").new(quantity, on))
                if step == place:
                    timely.send(timely.sender("acme").new(quantity, on))
        if month == LAST:
            for office in (late, timely):
                office.send(office.sender("acme").new(1, date(2026, 5, 1)))
        for office in (late, timely):
            _run(office, month)
        if step == again:  # running a month again changes nothing
            before = late.all_invoices()
            assert late.service.run_month(month).finalized == 0
            assert late.all_invoices() == before
    assert not [
        line for each in timely.all_invoices() for line in each.lines if line.kind is LineKind.ADJUSTMENT
    ]
    for month in [*MONTHS, LAST]:
        assert _billed(late.all_invoices(), month) == _billed(timely.all_invoices(), month)
    assert _paid(late) == _paid(timely)
    if contract:
        assert _balances(late) == _balances(timely)
    for office in (late, timely):
        made = office.all_invoices()
        assert all(office.verified(each) for each in made)
        check_credit_ledger(office, "acme", made)
        office.engine.dispose()


def _run(office: Office, month: Month) -> None:
    """A month that had nothing until now, and has late runs, is run before."""
    report = office.service.run_month(month)
    while report.failed:
        _, sentence = report.failed[0]
        office.service.run_month(Month.parse(sentence[:7]))
        report = office.service.run_month(month)


def _paid(office: Office) -> int:
    """What the customer paid or still has to, less the credit that is left; each granted cent counts once."""
    balance = show_credit(office.engine, "acme")["balance"]
    assert isinstance(balance, int)
    return sum(each.total for each in office.all_invoices()) - balance


def _balances(office: Office) -> list[tuple[str, int]]:
    """The run ledger, by day and grant."""
    check_run_ledger(office, "c")
    record_contract_runs(office.engine, office.store, "c", office.now)
    with reading(office.engine) as connection:
        entries = contract_rows.ledger(connection, "c")
    sums: dict[str, int] = {}
    for entry in entries:
        place = f"{entry.effective_on} {entry.place.purpose} {entry.grant}"
        sums[place] = sums.get(place, 0) + entry.quantity
    return sorted((place, quantity) for place, quantity in sums.items() if quantity)

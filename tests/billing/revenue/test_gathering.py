"""What is read for the journal, on both engines: payments, refunds, tax, and what was known when."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from billing.contracts import add_contract
from billing.corrections import correct
from billing.repository import collection
from billing.repository.collection import Collection, Record
from billing.revenue.gathering import every_account
from billing.revenue.ledger import Kind, LedgerAccount
from billing.revenue.operation import journal_entries, revenue_report
from metering.database import writing
from metering.period import DAY_US, Month
from tests.billing.exports.world import CONTRACT, busy_month
from tests.billing.months import bill_all
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

NOVEMBER = OCTOBER.next()


@pytest.fixture
def busy(sqlite_databases: NewDatabase) -> World:
    return busy_month(sqlite_databases())


def entries(world: World, month: Month) -> dict[str, tuple[object, ...]]:
    return {each.id: (each.on, each.postings) for each in journal_entries(world.service, month)}


def test_both_engines_say_the_same(engine: sa.Engine) -> None:
    busy = busy_month(engine)
    report = revenue_report(busy.service, OCTOBER)
    assert report.ok
    dollars = report.to_data()["currencies"][1]
    assert dollars["revenue"]["total"] == 251 + 125 + 17_777
    later = revenue_report(busy.service, NOVEMBER).to_data()["currencies"][1]
    assert later["credited"]["credit"] == {"goodwill": 100, "used": -100}
    assert (later["revenue"]["Credit granted"], later["revenue"]["Credit notes"]) == (-100, -50)
    assert dollars["deferred"]["deferred_revenue"] == 150_000
    assert len(entries(busy, OCTOBER)) == report.entries == 5


@pytest.mark.behind_the_back
def test_what_stripe_says(busy: World) -> None:
    """Tax, a day to pay by, a refund that came about and one that failed, a dispute that was lost."""
    (document,) = (
        each
        for facts in every_account(busy.engine, busy.store, OCTOBER, "acme")
        for each in facts.documents
        if each.month == OCTOBER
    )
    due = NOVEMBER.start + 20 * DAY_US
    with writing(busy.engine) as connection:
        (row,) = connection.execute(sa.text(f"SELECT id FROM invoices WHERE number = '{document.number}'"))
        held = Collection(300, 300, False, 0, None, due, None, False, None, busy.instant, tax=24)
        collection.put(connection, row.id, held)
        told = [("re_1", "refund", "succeeded", 40), ("re_2", "refund", "failed", 50)]
        told += [("dp_1", "dispute", "lost", 60), ("dp_2", "dispute", "won", 70)]
        at = NOVEMBER.start + 2 * DAY_US
        made = [Record(id, kind, amount, "USD", status, "", at) for id, kind, status, amount in told]
        collection.put_records(connection, row.id, made)
    busy.instant = NOVEMBER.start + 60 * DAY_US
    report = revenue_report(busy.service, NOVEMBER, as_of=date(2026, 12, 30))
    dollars = report.to_data()["currencies"][1]
    assert all(tie["ok"] for tie in dollars["ties"])
    assert (dollars["invoiced"]["tax"], dollars["paid"]["refunds"]) == (24, -100)
    # Due on 21 November: 40 days past due. The contract's, by its terms, since 3 November.
    assert dollars["outstanding"]["31-60"] == document.total - 50 + 24 + 167_777
    assert dollars["revenue"]["Refunds and chargebacks"] == -100


def test_what_was_billed_stays_and_what_comes_late_is_the_next_months(busy: World) -> None:
    """globex draws 700 of 800 runs in October. 40 come after it was billed, and one is reversed: 39 more were
    drawn of those that expired, at 15.554 cents each."""
    before = entries(busy, OCTOBER)
    busy.send(runs(40, account="globex", prefix="late"))
    wrong = ["run-0000001"]
    correct(busy.engine, busy.store, "globex", wrong, "reverse", "wrong", author="o", now=busy.instant)
    assert entries(busy, OCTOBER) == before
    busy.instant = NOVEMBER.end + 3 * DAY_US
    bill_all(busy, NOVEMBER)
    assert entries(busy, OCTOBER) == before
    report = revenue_report(busy.service, NOVEMBER)
    assert report.ok
    earned = report.figures["USD"].earned
    assert (earned[LedgerAccount.COMMITMENTS], earned[LedgerAccount.BREAKAGE]) == (606, -606)


def test_a_month_that_was_not_billed_is_not_final(sqlite_databases: NewDatabase) -> None:
    """What is drawn counts as it is known, and the report says so."""
    world = World(sqlite_databases())
    world.account("globex", plan="standard", since="2026-10")
    add_contract(world.engine, CONTRACT, by="o", now=world.instant)
    world.send(runs(300, account="globex"))
    report = revenue_report(world.service, OCTOBER)
    assert (report.unsettled, report.not_invoiced, report.ok) == (["globex-1"], ["globex"], False)
    assert report.figures["USD"].contracts["globex-1"].drawn_runs == 300
    world.send(runs(20, account="globex", prefix="late"))
    bill_all(world)
    settled = revenue_report(world.service, OCTOBER)
    assert settled.ok and settled.figures["USD"].contracts["globex-1"].drawn_runs == 320
    kinds = {each.kind for each in journal_entries(world.service, OCTOBER)}
    assert kinds == {Kind.DRAWN, Kind.BREAKAGE}

"""What is read for the journal, on both engines: payments, refunds, tax, and what was known when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import sqlalchemy as sa

from billing.accounts import set_plan
from billing.contract_invoices import invoice_contracts
from billing.contracts import add_contract, amend_contract, deliver
from billing.corrections import correct
from billing.credit_notes import credit_note
from billing.downgrade import take_back
from billing.errors import Invalid
from billing.invoices import list_invoices
from billing.payments import state
from billing.pricing.contract import Service
from billing.repository import collection
from billing.repository.collection import Collection, Record
from billing.repository.invoices import Invoice
from billing.revenue.gathering import every_account
from billing.revenue.ledger import Kind, LedgerAccount
from billing.revenue.operation import journal_entries, revenue_report
from billing.schema import upgrade
from metering.database import writing
from metering.period import DAY_US, Month, parse_instant
from tests.billing.exports.world import CONTRACT, busy_month
from tests.billing.months import bill, bill_all, dollars, stripe_invoice, void
from tests.billing.payments.till import Till
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
    assert report.unassigned == [("stranger", 3)]
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
        collection.put_records(connection, row.id, made, at)
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


def test_a_payment_is_of_the_day_on_which_it_was_learned_of(engine: sa.Engine) -> None:
    """In parts of 3.00 and 4.00 of 10.00; asking Stripe again later moves none of them, and 1.00 that it
    takes back is of its own day."""
    world = dollars(engine)
    world.send(runs(10))
    invoice = bill(world)
    days = {"2026-11-03": 300, "2026-11-10": 300, "2026-11-20": 700, "2026-12-01": 600, "2026-12-09": 600}
    for day, amount in days.items():
        stripe_says(world, invoice, day, "open", amount)
    found = [
        (str(each.on), each.id, each.postings[0].amount)
        for month in (NOVEMBER, NOVEMBER.next())
        for each in journal_entries(world.service, month)
        if each.kind is Kind.PAYMENT
    ]
    number = invoice.number
    assert found == [
        ("2026-11-03", f"{number}/payment", 300),
        ("2026-11-20", f"{number}/payment/2", 400),
        ("2026-12-01", f"{number}/payment/3", 100),
    ]
    report = revenue_report(world.service, NOVEMBER, as_of=date(2026, 11, 12)).to_data()["currencies"][0]
    assert (report["paid"], report["outstanding"]["total"]) == (
        {"payments": 2, "amount": 700, "settled_at_stripe": 0, "refunds": 0},
        700,
    )


def test_what_was_paid_before_payments_were_kept_is_one_payment(engine: sa.Engine) -> None:
    """Of the day on which the invoice was paid; in part, of that on which Stripe was last asked."""
    world = dollars(engine)
    world.account("beta", plan="dollar")
    world.send(runs(10), runs(20, account="beta"))
    first, second = bill_all(world)
    stripe_says(world, first, "2026-11-03", "open", 300)
    for day in ("2026-11-10", "2026-12-01"):
        stripe_says(world, first, day, "paid", 1000)
    for day in ("2026-11-04", "2026-11-20"):
        stripe_says(world, second, day, "open", 700)
    take_back(engine, "0015", now=world.instant, may_lose=True)
    upgrade(engine)
    paid = [each for each in journal_entries(world.service, NOVEMBER) if each.kind is Kind.PAYMENT]
    assert [(str(each.on), each.document, each.postings[0].amount) for each in paid] == [
        ("2026-11-10", first.number, 1000),
        ("2026-11-20", second.number, 700),
    ]
    stripe_says(world, second, "2026-12-05", "paid", 2000)
    (last,) = (each for each in journal_entries(world.service, NOVEMBER.next()) if each.kind is Kind.PAYMENT)
    assert (last.id, last.postings[0].amount) == (f"{second.number}/payment/2", 1300)


def stripe_says(world: World, invoice: Invoice, day: str, status: str, amount: int) -> None:
    """Stripe has collected so much of an invoice by a day."""
    world.instant = parse_instant(f"{day}T12:00:00Z")
    held = stripe_invoice(invoice, status, amount)
    seen = state.version(world.engine, invoice.id)
    assert state.apply(world.engine, invoice.id, held, world.instant, seen=seen)


def test_a_month_that_is_to_come_has_no_journal(busy: World) -> None:
    with pytest.raises(Invalid, match="2027-03 has not begun"):
        journal_entries(busy.service, Month(2027, 3))


def test_what_may_still_change_is_not_named_as_what_will_stay(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.account("globex", plan="standard", since="2026-10")
    add_contract(world.engine, CONTRACT, by="o", now=world.instant)
    world.send(runs(300, account="globex"))
    before = set(entries(world, OCTOBER))
    assert before == {f"globex-1/2026-10/{kind}/provisional" for kind in ("drawn", "breakage")}
    bill_all(world)
    assert set(entries(world, OCTOBER)) == {f"globex-1/2026-10/{kind}" for kind in ("drawn", "breakage")}


def test_a_month_without_runs_stays_when_runs_come_after_it_was_billed(
    sqlite_databases: NewDatabase,
) -> None:
    """Nothing ran in October, and all expired with it: 1,244.32 for 800 runs. 40 late runs are billed with an
    invoice of October in December: November's report, which is then not billed yet, has the difference."""
    world = World(sqlite_databases())
    world.account("globex", plan="standard", since="2026-10")
    add_contract(world.engine, CONTRACT, by="o", now=world.instant)
    bill_all(world)
    before = entries(world, OCTOBER)
    assert before
    world.send(runs(40, account="globex", prefix="late"))
    bill_all(world)
    assert [each.month for each in list_invoices(world.engine, account="globex") if each.kind == "usage"]
    assert entries(world, OCTOBER) == before
    assert revenue_report(world.service, OCTOBER).ok


def test_a_month_that_was_never_billed_is_what_the_next_one_said_of_it(sqlite_databases: NewDatabase) -> None:
    """November is billed and October is not; then the contract is cut to October: what November said of both
    stays, and the difference is a later month's."""
    world = World(sqlite_databases())
    world.account("globex", plan="standard", since="2026-10")
    grants = tuple(replace(each, expires_on=date(2026, 12, 1)) for each in CONTRACT.grants)
    contract = replace(CONTRACT, end=date(2026, 12, 1), grants=grants)
    add_contract(world.engine, contract, by="o", now=world.instant)
    bill_all(world, NOVEMBER)
    before = entries(world, NOVEMBER)
    assert list(before) == ["globex-1/2026-11/breakage"]
    world.instant += DAY_US
    amend_contract(world.engine, contract.id, end=date(2026, 11, 1), amend=True, by="o", now=world.instant)
    assert (entries(world, OCTOBER), entries(world, NOVEMBER)) == ({}, before)
    assert revenue_report(world.service, OCTOBER).ok


def test_a_month_that_is_void_is_not_invoiced(sqlite_databases: NewDatabase) -> None:
    world = dollars(sqlite_databases())
    world.send(runs(10))
    invoice = bill(world)
    assert revenue_report(world.service, OCTOBER).ok
    void(world, invoice)
    report = revenue_report(world.service, OCTOBER)
    assert (report.not_invoiced, report.ok) == (["acme"], False)
    bill(world)
    assert revenue_report(world.service, OCTOBER).ok


def test_what_went_back_stays_on_the_day_on_which_it_was_learned_of(engine: sa.Engine) -> None:
    """A refund that fails a month later, and a dispute that is lost two months after it began: what was
    booked stays, and what was learned is of its own day."""
    world = dollars(engine)
    world.send(runs(10))
    invoice = bill(world)
    stripe_says(world, invoice, "2026-11-03", "paid", 1000)
    began = parse_instant("2026-11-05T12:00:00Z")
    told = {
        "2026-11-05": [("re_1", "refund", "pending", 400), ("dp_1", "dispute", "needs_response", 600)],
        "2026-11-06": [("re_1", "refund", "succeeded", 400)],
        "2026-12-10": [("re_1", "refund", "failed", 400)],
        "2027-01-10": [("dp_1", "dispute", "lost", 600), ("re_1", "refund", "failed", 400)],
    }
    seen: dict[str, tuple[object, ...]] = {}
    for day, records in told.items():
        world.instant = parse_instant(f"{day}T12:00:00Z")
        held = [Record(id, kind, amount, "USD", status, "", began) for id, kind, status, amount in records]
        with writing(world.engine) as connection:
            collection.put_records(connection, invoice.id, held, world.instant)
        months = [NOVEMBER, NOVEMBER.next(), NOVEMBER.next().next()]
        found = {
            id: each for m in months if m.start <= world.instant for id, each in entries(world, m).items()
        }
        assert seen.items() <= found.items(), "what was booked stays"
        seen = found
    refunds = {id.partition("/")[2]: each[0] for id, each in seen.items() if "re_1" in id or "dp_1" in id}
    assert refunds == {
        "refund/re_1": date(2026, 11, 5),
        "refund/re_1/2": date(2026, 12, 10),
        "dispute/dp_1": date(2027, 1, 10),
    }
    for month, amount in ((NOVEMBER, -400), (NOVEMBER.next(), 400), (NOVEMBER.next().next(), -600)):
        found_then = revenue_report(world.service, month).to_data()["currencies"][0]
        assert found_then["paid"]["refunds"] == amount
        assert all(tie["ok"] for tie in found_then["ties"])


def test_late_runs_of_a_term_that_is_over_are_of_the_next_month(sqlite_databases: NewDatabase) -> None:
    """700 of 800 runs were drawn when October was billed. 40 come late: November has them, when it is billed,
    and it stays so when something else is agreed later."""
    world = World(sqlite_databases())
    world.account("globex", plan="standard", since="2026-10")
    add_contract(world.engine, CONTRACT, by="o", now=world.instant)
    world.send(runs(700, account="globex"))
    bill_all(world)
    october = entries(world, OCTOBER)
    world.send(runs(40, account="globex", prefix="late"))
    bill_all(world, NOVEMBER)
    november = entries(world, NOVEMBER)
    assert set(november) == {"globex-1/2026-11/drawn", "globex-1/2026-11/breakage"}
    world.instant = parse_instant("2027-02-02T00:00:00Z")
    set_plan(world.engine, "globex", "starter", Month(2027, 3), by="o", now=world.instant)
    assert (entries(world, OCTOBER), entries(world, NOVEMBER)) == (october, november)
    assert entries(world, NOVEMBER.next()) == {}


def test_a_delivery_that_is_told_late_changes_no_other_entry(sqlite_databases: NewDatabase) -> None:
    """Nor does an invoice whose month is not billed depend on what will be drawn of it."""
    world = World(sqlite_databases())
    world.account("globex", plan="standard", since="2026-10")
    service = Service("Training", 3_000, date(2026, 10, 5))
    add_contract(world.engine, replace(CONTRACT, services=(service,)), by="o", now=world.instant)
    world.send(runs(300, account="globex"))
    world.instant = parse_instant("2026-11-01T00:00:00Z")
    invoice_contracts(world.engine, date(2026, 11, 1), now=world.instant)
    invoiced = entries(world, NOVEMBER)
    bill_all(world)
    before = entries(world, OCTOBER) | entries(world, NOVEMBER)
    assert invoiced.items() <= before.items()
    deliver(world.engine, "globex-1", "1", date(2026, 10, 20), by="o", now=world.instant)
    after = entries(world, OCTOBER) | entries(world, NOVEMBER)
    assert after.keys() - before.keys() == {"globex-1/service/1"}
    assert before.items() <= after.items()


def test_what_was_settled_stays_so(engine: sa.Engine) -> None:
    """0.25 that Stripe moved to the customer's balance, and a note of 0.10 a month later."""
    till = Till(engine, quantity=10_100)
    till.deliver()
    before = entries(till.world, NOVEMBER)
    (settled,) = (id for id in before if id.endswith("/settlement"))
    till.world.instant = parse_instant("2026-12-05T09:00:00Z")
    credit_note(engine, till.invoice.number or "", "0.10", "goodwill", "x", by="o", now=till.world.instant)
    assert entries(till.world, NOVEMBER) == before
    till.deliver()
    assert entries(till.world, NOVEMBER) == before and settled in before
    report = revenue_report(till.world.service, NOVEMBER.next())
    assert report.ok and report.figures["USD"].sums["settled"] == 0

"""The journal of random books, and of some that are worked out by hand."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

from hypothesis import given

from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.line import LineKind
from billing.revenue.facts import (
    AccountFacts,
    Close,
    Commitment,
    CreditRow,
    Document,
    Note,
    Reversal,
    Status,
)
from billing.revenue.figures import Window
from billing.revenue.journal import journal, positions
from billing.revenue.ledger import Entry, LedgerAccount, balances
from billing.revenue.recognition import earned
from billing.revenue.report import Reporting
from metering.period import Month, day_of
from tests.billing.pricing.data import STANDARD
from tests.billing.revenue.books import END, MONTHS, at, books, collected, document, paid

L = LedgerAccount


def on(entries: list[Entry], until: date = date.max) -> Counter[LedgerAccount]:
    held = balances(each for each in entries if each.on <= until)
    return Counter({ledger: amount for (_, ledger), amount in held.items()})


@given(books())
def test_random_books(given_books: tuple[Contract, AccountFacts]) -> None:
    contract, facts = given_books
    entries = journal(facts)
    assert all(sum(each.amount for each in entry.postings) == 0 for entry in entries)
    assert len({each.id for each in entries}) == len(entries)
    held = on(entries)
    live = [each for each in facts.documents if each.status in ("open", "paid")]
    paid_of = sum(each.paid for each in live)
    void = [each for each in facts.documents if each.status == "void"]
    lost = [each for each in facts.documents if each.status == "uncollectible"]
    back_of = sum(r.amount for each in facts.documents for r in each.reversals)
    noted = sum(n.amount for each in live for n in each.notes)
    back = sum(row.amount for each in live for row in each.given_back)
    assert held[L.CASH] == sum(each.paid for each in facts.documents) - back_of
    assert held[L.RECEIVABLE] == sum(each.total + each.tax for each in live) - paid_of - noted + back
    assert held[L.BAD_DEBTS] == sum(
        each.total + each.tax - each.paid - sum(n.amount for n in each.notes) for each in lost
    )
    # What was paid of an invoice that became void is the customer's, but for what went back.
    assert -held[L.STRIPE_BALANCE] == sum(each.paid for each in void) - back_of
    assert held[L.REFUNDS] == 0, "of none but void invoices in these books"
    assert -held[L.CUSTOMER_CREDIT] == sum(row.amount for row in facts.credits)
    # Over its life a contract earns its price, and all that was invoiced of it.
    price = sum(each.price for each in contract.grants)
    assert -held[L.COMMITMENTS] - held[L.BREAKAGE] == price
    assert -held[L.SERVICES] == 500
    assert held[L.DEFERRED] == held[L.UNBILLED_USAGE] == 0
    for month in MONTHS:
        there = on(entries, month.last_day)
        # What is deferred is what was invoiced of the runs that are neither drawn nor expired.
        assert -there[L.DEFERRED] == positions(facts, month.last_day)["c1"]


@given(books())
def test_reports_of_random_books_tie(given_books: tuple[Contract, AccountFacts]) -> None:
    _, facts = given_books
    closing = {}
    for month in MONTHS:
        reporting = Reporting(Window(month, month.last_day, month.last_day), {STANDARD.id: STANDARD})
        reporting.add(facts)
        report = reporting.report()
        assert [tie for tie in report.ties["USD"] if not tie.ok] == []
        rolled = report.figures["USD"].contracts
        assert all(each.adds_up for each in rolled.values())
        for name, each in rolled.items():
            assert each.opening == closing.get(name, 0)
            closing[name] = each.closing


@given(books())
def test_what_was_reported_stays(given_books: tuple[Contract, AccountFacts]) -> None:
    """The entries up to a day are the same, whatever happens after it; usage that is invoiced later adds."""
    _, facts = given_books
    until = date(2026, 3, 31)
    before = journal(as_of(facts, until))
    after = {each.id: each for each in journal(facts) if each.on <= until}
    late = {d.number for d in facts.documents if day_of(d.issued_at) > until}
    assert {each.id: each for each in before} == {
        id: each for id, each in after.items() if each.document not in late
    }


def as_of(facts: AccountFacts, until: date) -> AccountFacts:
    """The facts as they were at the end of a day."""

    def there(instant: int | None) -> bool:
        return instant is not None and day_of(instant) <= until

    def then(each: Document) -> Document:
        statuses = tuple(status for status in each.statuses if there(status.at))
        status = statuses[-1].status if statuses else "open"
        return replace(
            each,
            status="void" if there(each.voided_at) else status,
            statuses=statuses,
            voided_at=each.voided_at if there(each.voided_at) else None,
            payments=tuple(payment for payment in each.payments if there(payment.at)),
            reversals=tuple(reversal for reversal in each.reversals if there(reversal.at)),
            notes=tuple(note for note in each.notes if there(note.at)),
            given_back=tuple(row for row in each.given_back if there(row.at)),
            undone=each.undone if there(each.voided_at) else (),
        )

    return replace(
        facts,
        documents=tuple(then(each) for each in facts.documents if there(each.issued_at)),
        credits=tuple(row for row in facts.credits if there(row.at)),
        commitments=tuple(
            replace(
                each,
                closes=tuple(close for close in each.closes if close.month.last_day <= until),
                deliveries=tuple(d for d in each.deliveries if d.on <= until),
            )
            for each in facts.commitments
        ),
    )


def shown(entries: list[Entry]) -> list[str]:
    """As docs/revenue.md writes them: debits without a sign."""
    return [
        f"{entry.on} {entry.kind} {each.ledger.title} {each.amount / 100:+.2f}"
        for entry in entries
        for each in entry.postings
    ]


def an_invoice_with_credit() -> list[Entry]:
    """25.00 of October, half off, 2.00 of credit: 10.50, paid on 20 November."""
    lines = {LineKind.USAGE: 2500, LineKind.PROGRAM_DISCOUNT: -1250, LineKind.CREDIT: -200}
    invoice = paid(document("2026-10-000001", "2026-11-02", lines), date(2026, 11, 20))
    goodwill = CreditRow("crd_1", "goodwill", 200, at("2026-10-05"), "the outage", None)
    return journal(AccountFacts("acme", "USD", (invoice,), (goodwill,)))


def a_contract() -> list[Entry]:
    """1,000 runs for 100.00, half of it invoiced at the start, half in March. January draws 300, February
    400, March 100; 200 expire. In February 70.00 are earned of 50.00: 20.00 are owed for until March."""
    grant = Grant("g1", 1_000, 10_000, date(2026, 1, 1), date(2026, 4, 1))
    term = date(2026, 1, 1), date(2026, 4, 1)
    contract = Contract("c1", "acme", *term, "standard", "USD", Instalments.UPFRONT, (grant,))
    usage = {date(2026, 1, 9): 300, date(2026, 2, 9): 400, date(2026, 3, 9): 100}
    closes = tuple(earned(contract, usage, month, is_final=True) for month in MONTHS[:3])
    assert closes[2] == Close(Month(2026, 3), 8_000, 2_000, 800, 200, is_final=True)
    invoices = [
        document(number, day, {LineKind.INSTALMENT: 5_000}, kind="contract", contract="c1")
        for number, day in (("2026-01-000001", "2026-01-02"), ("2026-03-000001", "2026-03-02"))
    ]
    facts = AccountFacts("acme", "USD", tuple(invoices), (), (Commitment("c1", closes),))
    return journal(facts)


def test_a_void_is_booked_on_its_day_and_so_is_what_replaces_it() -> None:
    """October's revenue stays what was reported: November has the difference."""
    first = document("2026-10-000001", "2026-11-02", {LineKind.USAGE: 2500}, voided_at=at("2026-11-20"))
    again = document("2026-10-000002", "2026-11-25", {LineKind.USAGE: 2400}, replaces=True, month=first.month)
    made = journal(AccountFacts("acme", "USD", (replace(first, status="void"), again)))
    assert shown(made)[4:] == [
        "2026-11-20 void Usage revenue +25.00",
        "2026-11-20 void Accounts receivable -25.00",
        "2026-11-25 invoice Accounts receivable +24.00",
        "2026-11-25 invoice Usage revenue -24.00",
    ]


def test_small_amounts_and_tax_of_notes_are_settled_at_stripe() -> None:
    """0.30 that Stripe moved to the customer's balance, and 0.07 of tax that went with a note."""
    small = document("2026-10-000001", "2026-11-02", {LineKind.USAGE: 30}, status="paid")
    small = replace(small, statuses=(Status("paid", at("2026-11-03")),))
    note = Note("2026-11-CN-000001", 100, "goodwill", at("2026-11-05"), "slow", is_settled=True)
    taxed = document("2026-10-000002", "2026-11-02", {LineKind.USAGE: 1000}, tax=70, status="paid")
    taxed = collected(replace(taxed, notes=(note,)), 963, "2026-11-09")
    taxed = replace(taxed, statuses=(Status("paid", at("2026-11-09")),))
    held = on(journal(AccountFacts("acme", "USD", (small, taxed))))
    assert held[L.RECEIVABLE] == 0
    assert (held[L.STRIPE_BALANCE], held[L.TAX], held[L.CASH]) == (30, -63, 963)


def test_what_is_paid_in_part_is_booked_when_it_is() -> None:
    """10.00: 4.00 in November, given up in December, 1.00 in January all the same; then the rest."""
    made = document("2026-10-000001", "2026-11-02", {LineKind.USAGE: 1000})
    made = collected(collected(made, 400, "2026-11-09"), 100, "2027-01-10")
    made = replace(made, status="uncollectible", statuses=(Status("uncollectible", at("2026-12-20")),))
    facts = AccountFacts("acme", "USD", (paid(made, date(2027, 2, 1)),))
    assert shown(journal(facts))[4:] == [
        "2026-11-09 payment Cash +4.00",
        "2026-11-09 payment Accounts receivable -4.00",
        "2026-12-20 write_off Bad debts +6.00",
        "2026-12-20 write_off Accounts receivable -6.00",
        "2027-01-10 payment Cash +1.00",
        "2027-01-10 payment Bad debts -1.00",
        "2027-02-01 payment Cash +5.00",
        "2027-02-01 payment Accounts receivable -5.00",
        "2027-02-01 recovery Accounts receivable +5.00",
        "2027-02-01 recovery Bad debts -5.00",
    ]
    numbered = [each.id.partition("/")[2] for each in journal(facts)][2:]
    assert numbered == ["payment", "write-off/1", "payment/2", "payment/3", "recovery/1"]


def test_what_was_paid_of_a_void_invoice_is_the_customers() -> None:
    """10.00, 4.00 of it paid, 1.00 of that refunded before the void, the rest after it: nothing is earned."""
    made = collected(document("2026-10-000001", "2026-11-02", {LineKind.USAGE: 1000}), 400, "2026-11-03")
    gone = [Reversal(id, "refund", amount, at(day)) for id, amount, day in (
        ("re_1", 100, "2026-11-04"), ("re_2", 300, "2026-11-20"))]  # fmt: skip
    made = replace(made, status="void", voided_at=at("2026-11-09"), reversals=tuple(gone))
    entries = journal(AccountFacts("acme", "USD", (made,)))
    assert shown(entries)[4:] == [
        "2026-11-03 payment Cash +4.00",
        "2026-11-03 payment Accounts receivable -4.00",
        "2026-11-04 refund Refunds and chargebacks +1.00",
        "2026-11-04 refund Cash -1.00",
        "2026-11-09 void Usage revenue +10.00",
        "2026-11-09 void Accounts receivable -6.00",
        "2026-11-09 void Customer balances at Stripe -3.00",
        "2026-11-09 void Refunds and chargebacks -1.00",
        "2026-11-20 refund Customer balances at Stripe +3.00",
        "2026-11-20 refund Cash -3.00",
    ]
    assert not any(on(entries).values())


def test_a_grant_that_is_drawn_in_thirds_earns_its_price() -> None:
    """10.00 over three runs: 3.33, 3.34 and 3.33, each month the difference of what is rounded once."""
    grant = Grant("g1", 3, 1_000, date(2026, 1, 1), END)
    term = date(2026, 1, 1), END
    contract = Contract("c1", "acme", *term, "standard", "USD", Instalments.UPFRONT, (grant,))
    usage = {date(2026, number, 9): 1 for number in (1, 2, 3)}
    drawn = [earned(contract, usage, month, is_final=True).drawn for month in MONTHS]
    assert drawn == [333, 667, 1000, 1000, 1000, 1000]
    assert [grant.worth(runs, "ISK") for runs in range(4)] == [0, 300, 700, 1000]


def test_the_examples_of_the_document() -> None:
    """Its tables, worked out by hand, are what is booked."""
    text = (Path(__file__).parents[3] / "docs" / "revenue.md").read_text("utf-8")
    tables = re.findall(r"<!-- journal: .+? -->[^|]+((?:\|.*\n)+)", text)
    told = []
    for table in tables:
        rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
        told.append([f"{day} {kind} {name} {f'+{d}' if d else f'-{c}'}" for day, kind, name, d, c in rows])
    assert told == [shown(an_invoice_with_credit()), shown(a_contract())]

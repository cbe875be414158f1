"""What must hold of revenue, whatever happened: each month's report ties to its journal, the journal
balances, what was reported stays, and what it says is what plain SQL says of the tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.revenue.ledger import Entry, LedgerAccount, balances
from billing.revenue.operation import journal_entries, revenue_report
from metering.period import Month

if TYPE_CHECKING:
    from tests.scenarios.office import Office

_L = LedgerAccount


def months_of(office: Office) -> list[Month]:
    """From the first that anything happened in to that of the story's end."""
    with office.engine.connect() as connection:
        first = connection.scalar(sa.text("SELECT min(billing_from) FROM accounts"))
        contract = connection.scalar(sa.text("SELECT min(effective_on) FROM run_ledger"))
        credit = connection.scalar(sa.text("SELECT min(recorded_at) FROM credit_ledger"))
    begun = [Month.parse(each[:7]) for each in (first, contract) if each]
    month = min([*begun, *([] if credit is None else [Month.of(credit)])])  # credit may come before all else
    found = []
    while month.start <= office.instant:
        found.append(month)
        month = month.next()
    return found


def check_revenue(office: Office) -> None:
    """Of each month."""
    entries: list[Entry] = []
    for month in months_of(office):
        report = revenue_report(office.service, month)
        broken = [(code, tie) for code, ties in report.ties.items() for tie in ties if not tie.ok]
        assert broken == [], month
        assert all(each.adds_up for found in report.figures.values() for each in found.contracts.values())
        mine = list(journal_entries(office.service, month))
        assert len(mine) == report.entries
        assert {Month(each.on.year, each.on.month) for each in mine} <= {month}
        entries += mine
    held = {each.id: each for each in entries}
    assert len(held) == len(entries), "an entry's id comes twice"
    for id, entry in office.reported.items():
        assert held[id] == entry, "what was reported of a month that was billed stays"
    compare_with_tables(office, balances(entries))


def compare_with_tables(office: Office, held: Counter[tuple[str, LedgerAccount]]) -> None:
    """The balances of the whole journal, beside sums that know nothing of it."""
    on = Counter(dict.fromkeys(_L, 0))
    for (_, ledger), amount in held.items():
        on[ledger] += amount

    def asked(query: str) -> int:
        with office.engine.connect() as connection:
            return int(connection.scalar(sa.text(query)) or 0)

    owed = asked(
        """SELECT sum(i.total - i.amount_paid
             - coalesce((SELECT sum(n.amount) FROM credit_notes n WHERE n.invoice_id = i.id), 0)
             + coalesce((SELECT sum(c.amount) FROM credit_ledger c
                         WHERE c.invoice_id = i.id AND c.kind = 'credit_note'), 0))
           FROM invoices i WHERE i.status IN ('finalized', 'open', 'paid')"""
    )
    void = asked("SELECT sum(amount_paid) FROM invoices WHERE status = 'void'")
    assert on[_L.RECEIVABLE] + on[_L.STRIPE_BALANCE] == owed - void
    lost = asked(
        """SELECT sum(i.total - i.amount_paid
             - coalesce((SELECT sum(n.amount) FROM credit_notes n WHERE n.invoice_id = i.id), 0))
           FROM invoices i WHERE i.status = 'uncollectible'"""
    )
    assert on[_L.BAD_DEBTS] == lost
    assert on[_L.CASH] == asked("SELECT sum(amount_paid) FROM invoices")
    assert on[_L.CASH] == asked("SELECT sum(amount) FROM invoice_payments")
    assert -on[_L.CUSTOMER_CREDIT] == asked("SELECT sum(amount) FROM credit_ledger")
    assert on[_L.UNBILLED_USAGE] == 0, "all that is accrued was invoiced"
    line = """SELECT sum(l.amount) FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
              WHERE i.status NOT IN ('draft', 'void') AND l.kind = """
    assert -on[_L.USAGE] == asked(f"{line} 'usage'")
    assert -on[_L.ON_DEMAND] == asked(f"{line} 'on_demand'")
    assert -on[_L.DISCOUNTS] == asked(f"{line} 'program_discount'")
    assert -on[_L.PROTECTION] == asked(f"{line} 'price_protection'")
    assert -on[_L.ADJUSTMENTS] == asked(f"{line} 'adjustment'")
    earned = -on[_L.COMMITMENTS] - on[_L.BREAKAGE] - on[_L.SERVICES]
    committed = asked(f"{line} 'instalment'") + asked(f"{line} 'service'")
    assert -on[_L.DEFERRED] == committed - earned

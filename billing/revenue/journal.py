"""All entries of a customer, in the order of their days. Pure.

What was invoiced of a contract before it is earned is owed to the customer: deferred revenue. What is earned
before it is invoiced is owed by the customer, on the same account: so an entry depends on nothing but its own
event, and stays as it was whatever else is learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date

from billing.revenue.documents import credit_entries, document_entries
from billing.revenue.facts import AccountFacts, Commitment
from billing.revenue.ledger import ORDER, Entry, Kind, LedgerAccount, Posting, postings
from metering.period import day_of

_L = LedgerAccount


def journal(facts: AccountFacts) -> list[Entry]:
    """In the order of days; of a day invoices come before what is earned."""
    made = [*credit_entries(facts.account, facts.currency, facts.credits)]
    for document in facts.documents:
        made += document_entries(document)
    for commitment in facts.commitments:
        made += _earned(facts, commitment)
    made.sort(key=lambda each: (each.on, ORDER[each.kind], each.id))
    return made


def _earned(facts: AccountFacts, commitment: Commitment) -> Iterator[Entry]:
    """What each month earned: what is earned by its end, less what was by the end of the month before."""
    drawn = expired = 0
    for close in commitment.closes:
        of, parts = f"{commitment.contract}/{close.month}", {}
        # An entry that may still change is not kept under the name of the one that will stay.
        as_yet = "" if close.is_final else "/provisional"
        parts[Kind.DRAWN] = (_L.COMMITMENTS, close.drawn - drawn, "Committed runs drawn")
        parts[Kind.BREAKAGE] = (_L.BREAKAGE, close.expired - expired, "Committed runs expired")
        drawn, expired = close.drawn, close.expired
        for kind, (ledger, amount, text) in parts.items():
            if amount:
                held = postings((_L.DEFERRED, amount), (ledger, -amount))
                yield _entry(
                    facts, commitment, f"{of}/{kind}{as_yet}", close.month.last_day, kind, text, held
                )
    for each in commitment.deliveries:
        held = postings((_L.DEFERRED, each.price), (_L.SERVICES, -each.price))
        id, text = f"{commitment.contract}/service/{each.number}", f"Delivered: {each.description}"
        if held:
            yield _entry(facts, commitment, id, each.on, Kind.SERVICE, text, held)


def _entry(
    facts: AccountFacts,
    commitment: Commitment,
    id: str,
    on: date,
    kind: Kind,
    text: str,
    held: tuple[Posting, ...],
) -> Entry:
    return Entry(id, on, kind, facts.account, facts.currency, text, held, contract=commitment.contract)


def positions(facts: AccountFacts, until: date) -> Mapping[str, int]:
    """Of each contract what was invoiced and is not void, less what is earned, at the end of a day: from the
    facts, not from entries."""
    held: Counter[str] = Counter()
    for each in facts.documents:
        if each.kind == "contract" and each.contract is not None:
            amount = sum(line.amount for line in each.lines)
            held[each.contract] += amount * _holds(each.issued_at, each.voided_at, until)
    for commitment in facts.commitments:
        closed = [close for close in commitment.closes if close.month.last_day <= until]
        if closed:
            held[commitment.contract] -= closed[-1].drawn + closed[-1].expired
        held[commitment.contract] -= sum(each.price for each in commitment.deliveries if each.on <= until)
    return held


def _holds(issued_at: int, voided_at: int | None, until: date) -> bool:
    return day_of(issued_at) <= until and (voided_at is None or day_of(voided_at) > until)

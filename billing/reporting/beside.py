"""What is kept beside invoices and the trail, and follows from them: numbers without gaps, what is to be
sent, the record of corrections, of which the trail has who and why, and the parts of payments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from billing.audit.entry import Finding, readable
from billing.reporting import corrections_record, paid_record
from billing.repository import audit, beside, by_itself
from billing.repository.stripe_addresses import check_of


def check(connection: sa.Connection, now: int | None = None) -> Iterator[Finding]:
    """`now`: an instant, after which nothing can have been paid; None: that is not looked at."""
    yield from _numbers(connection)
    yield from _intents(connection)
    yield from _voids(connection)
    yield from _links(connection)
    yield from _places(connection)
    yield from corrections_record.check(connection)
    yield from paid_record.check(connection, now)
    yield from _by_itself(connection)


def _numbers(connection: sa.Connection) -> Iterator[Finding]:
    """Of each prefix all numbers up to the last that was taken, each once."""
    last: Counter[str] = Counter()
    for number in beside.numbers(connection):
        prefix, _, place = number.rpartition("-")
        if not prefix or not place.isascii() or not place.isdecimal():
            yield Finding(f"a document has the number {readable(number)!r}, which none can have")
            continue
        expected, found = last[prefix] + 1, int(place)
        if found < expected:
            yield Finding(f"{readable(number)} is the number of two documents", subject=readable(number))
        elif found > expected:
            yield Finding(_missing(prefix, expected, found - 1))
        last[prefix] = found
    held = beside.last_numbers(connection)
    for prefix in sorted({*last, *held}):
        taken, counted = last[prefix], held.get(prefix, 0)
        if counted > taken:
            yield Finding(_missing(prefix, taken + 1, counted))
        elif counted < taken:
            yield Finding(f"{prefix} has a document {taken:06d}, and the next would get {counted + 1:06d}")


def _missing(prefix: str, first: int, last: int) -> str:
    if first == last:
        return f"there is no document {readable(prefix)}-{first:06d}: numbers have no gaps"
    return f"there are no documents {readable(prefix)}-{first:06d} to {last:06d}: numbers have no gaps"


def _intents(connection: sa.Connection) -> Iterator[Finding]:
    """Whatever is owed is sent, or was: there is an intent for it, which is never removed."""
    for each in beside.without_intent(connection):
        name = f"{each.what} {readable(each.number)}"
        says = f"nothing says that {name} is to be sent, or was: its intent is gone"
        yield Finding(says, subject=readable(each.id))


def _voids(connection: sa.Connection) -> Iterator[Finding]:
    """Whoever is said to have asked for a void at Stripe did: the trail has it."""
    for each in beside.voids(connection):
        if not audit.was_asked(connection, each.invoice_id, each.author, each.reason):
            says = f"nobody asked for the void of invoice {readable(each.number)} as its intent says"
            yield Finding(says, subject=readable(each.invoice_id))


def _links(connection: sa.Connection) -> Iterator[Finding]:
    """Where customers are sent to pay is at Stripe; that it is this invoice there, reconciliation says."""
    is_theirs = check_of(connection)
    for each in beside.linked(connection):
        if any(url is not None and not is_theirs(url) for url in (each.page, each.pdf)):
            says = (
                f"invoice {readable(each.number)} leads to a page or a PDF that is not Stripe's, and that is "
                f"shown to nobody; take over Stripe's: billing reconcile {readable(each.month)} --fix"
            )
            yield Finding(says, subject=readable(each.id))


def _places(connection: sa.Connection) -> Iterator[Finding]:
    """An account's next entry comes after all that its books have: else what comes later would be taken for
    what was known before."""
    for each in beside.behind(connection):
        counts = f"counts {each.counts} entries of its books, and has one numbered {each.last}"
        yield Finding(f"account {readable(each.account)} {counts}", subject=readable(each.account))


def _by_itself(connection: sa.Connection) -> Iterator[Finding]:
    """What the database does by itself would be sealed as the service's own deed."""
    for kind, name, table in by_itself.found(connection):
        says = f"the database has a {kind} {readable(name)} on {readable(table)}, which is not the service's"
        yield Finding(says, subject=readable(table))

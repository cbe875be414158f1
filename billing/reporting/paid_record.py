"""Whether the parts in which invoices were paid, and money went back, are what is said of the whole: revenue
is booked on their days."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from billing.audit.entry import Finding, readable
from billing.repository import paid


def check(connection: sa.Connection, now: int | None) -> Iterator[Finding]:
    """`now`: an instant; None: how late a payment may be is not looked at."""
    for each in paid.uneven_payments(connection):
        says = f"the payments of invoice {readable(each.name)}"
        yield Finding(_comes_to(says, each), subject=readable(each.id))
    for each in paid.uneven_reversals(connection):
        says = f"what went back by {readable(each.name)}"
        yield Finding(_comes_to(says, each), subject=readable(each.id))
    for part in paid.ownerless(connection):
        says = f"there is no invoice, or no record of Stripe's, for the {_named(part)}"
        yield Finding(says, subject=readable(part.id))
    for part in paid.out_of_time(connection, now):
        says = f"the {_named(part)} is from before the invoice was issued, or is yet to come"
        yield Finding(f"{says}: {readable(part.at)}", subject=readable(part.id))
    for each_paid in paid.paid_at_another_time(connection):
        name = readable(each_paid.number)
        says = f"no payment of invoice {name} is of when the trail says that it was paid"
        yield Finding(says, subject=readable(each_paid.id))


def _comes_to(what: str, each: paid.Uneven) -> str:
    if each.parts == each.said:
        return f"{what} are not numbered from 1 on"
    return f"{what} come to {readable(each.parts)}, and it says {readable(each.said)}"


def _named(part: paid.Part) -> str:
    return f"{readable(part.what)} of {readable(part.id)}"

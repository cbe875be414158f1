"""All that can be proved of an installation, at once: after a restore, a move, an upgrade."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.entry import Finding, readable
from billing.audit.verification import Verified
from billing.audit.verification import verify as verify_trail
from billing.errors import Refused
from billing.reporting.beside import check
from billing.reporting.proof import Verification, in_words, verify
from billing.repository import invoice_ids
from metering.database import reading, reading_anything
from metering.period import Month
from metering.store import EventStore
from metering.store.recount import miscounts, no_months, strays, unnamed_buckets
from metering.store.sql import SqlEventStore

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Proved:
    """`invoices` were computed again, `differing` of them come to something else. `beside`: what is wrong
    with what is kept beside them. `drafts` were not: what they come to is no claim, and the next run makes
    them anew."""

    invoices: int
    differing: tuple[Verification, ...]
    trail: Verified
    beside: tuple[Finding, ...] = ()
    drafts: int = 0

    @property
    def ok(self) -> bool:
        return not self.differing and not self.trail.count and not self.beside

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "ok": self.ok,
            "invoices": self.invoices,
            "drafts": self.drafts,
            "differing": [each.to_data() for each in self.differing],
            "audit": self.trail.to_data(),
            "findings": [each.to_data() for each in self.beside],
        }


def prove(
    engine: sa.Engine,
    store: EventStore,
    *,
    month: Month | None = None,
    seal: str | None = None,
    counters: bool = False,
    now: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Proved:
    """Every issued invoice, or those of a month, computed again from the events as of its cutoff, and the
    audit trail and what is kept beside. `counters`: all task runs are counted again as well, and the counters
    compared with them. `now`: an instant; None: what is later is not looked for. `progress` is told how many
    invoices are done. Raises Invalid for a seal that can be none, Refused where events are in ClickHouse and
    the counters are asked for."""
    if counters and not isinstance(store, SqlEventStore):
        raise Refused("events are in ClickHouse, which counts by itself: there are no counters to compare")
    trail = verify_trail(engine, seal)
    count, differing = 0, []
    for invoice_id in _each_id(engine, month):
        found = verify(engine, store, invoice_id)
        if not found.ok:
            differing.append(found)
        count += 1
        progress(count)
    with reading_anything(engine) as connection:
        beside = list(check(connection, now))
        drafts = invoice_ids.drafts(connection, month=month)
    if counters:
        beside += _miscounted(engine, store)
    return Proved(count, tuple(differing), trail, tuple(beside), drafts)


def _miscounted(engine: sa.Engine, store: EventStore) -> Iterator[Finding]:
    if unnamed := unnamed_buckets(engine):
        yield Finding(f"task runs of {unnamed} buckets are found by nobody: run_buckets does not name them")
    for stray in strays(engine):
        where = ", ".join(stray.tables)
        yield Finding(f"meter_accounts has no account {stray.number}, of which there is something in {where}")
    for number in no_months(engine):
        yield Finding(f"counters, or run_buckets, are of a month {readable(number)}, which there is not")
    for each in miscounts(engine, store):
        account = readable(each.account)
        if each.unreadable is not None:
            why = in_words(each.unreadable)
            says = f"the task runs of {account} for {each.month} cannot be read, and were not counted ({why})"
        else:
            which = ", ".join(f"usage_{unit}s" for unit in each.units)
            says = f"the counters of {account} for {each.month} are not what its task runs come to: {which}"
        yield Finding(says, subject=account)


def _each_id(engine: sa.Engine, month: Month | None) -> Iterator[str]:
    """Only the ids: what else is stored of an invoice may be damaged, and each is proved by itself."""
    last = None
    while True:
        with reading(engine) as connection:
            page = invoice_ids.ids(connection, month=month, after=last, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1]

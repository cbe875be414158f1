"""Before a month is closed: what to look at, the same for every door. What takes longer than a page may,
since it looks at every account, is `check_month`."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from billing.anomalies import Anomaly, find_anomalies
from billing.app import Service
from billing.completeness import Incomplete, incomplete, sources_by_account
from billing.halves import alone
from billing.repository import accounts, month_review, runs
from billing.repository.month_review import DraftChange, NotDone, StatusSum
from billing.repository.runs import BillingRun
from metering.database import reading
from metering.period import Month


@dataclass(slots=True)
class MonthCheck:
    """What stands in the way of closing a month, or looks odd. `incomplete`: sources of accounts that are
    still to be billed. `unassigned`: accounts that were metered and that billing does not know, with their
    billable runs. `starts` and `ends`: halves of runs of more than a day ago whose other half is missing.
    `signs` of misuse, the most valuable first."""

    month: Month
    incomplete: list[Incomplete] = field(default_factory=list)
    unassigned: list[tuple[str, int]] = field(default_factory=list)
    starts: int = 0
    ends: int = 0
    signs: list[Anomaly] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.incomplete or self.unassigned or self.signs)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "month": str(self.month),
            "ok": self.ok,
            "incomplete": [each.to_data() for each in self.incomplete],
            "unassigned": [{"account": account, "billable": count} for account, count in self.unassigned],
            "halves": {"starts": self.starts, "ends": self.ends},
            "signs": [each.to_data() for each in self.signs],
        }


def check_month(service: Service, month: Month) -> MonthCheck:
    """Look at every account: by counters, and for the signs of misuse at the runs of the month."""
    # Before the cutoff: what they say is held is then below it.
    sources = sources_by_account(service.engine, None)
    cutoff = service.store.cutoff().position
    without_account = unassigned(service, month)
    starts, ends = alone(service.engine, service.now())
    return MonthCheck(
        month,
        incomplete(service.engine, sources, month, cutoff),
        without_account,
        starts,
        ends,
        find_anomalies(service, month).signs,
    )


def unassigned(service: Service, month: Month) -> list[tuple[str, int]]:
    """Accounts that were metered and that billing does not know, with their billable runs."""
    metered = service.store.counts_by_account(month.start, month.end)
    with reading(service.engine) as connection:
        known = accounts.ids(connection)
    found = sorted(metered.items())
    return [(name, counts.billable) for name, counts in found if name not in known and counts.total]


@dataclass(frozen=True, slots=True)
class MonthState:
    """How far a month is: its invoices by status and currency, what is not done at Stripe, and the run of all
    accounts that was started last (None: there was none)."""

    sums: list[StatusSum]
    undone: list[NotDone]
    last_run: BillingRun | None


def month_state(engine: sa.Engine, month: Month, *, limit: int) -> MonthState:
    """At most so many of what is not done, what failed first."""
    with reading(engine) as connection:
        last = month_review.last_run(connection, month)
        return MonthState(
            month_review.sums(connection, month),
            month_review.not_done(connection, month, limit=limit),
            None if last is None else runs.get(connection, last),
        )


def not_done(engine: sa.Engine, month: Month, *, limit: int) -> list[NotDone]:
    """What was tried at Stripe for a month's invoices and is not done: what failed first."""
    with reading(engine) as connection:
        return month_review.not_done(connection, month, limit=limit)


def draft_changes(engine: sa.Engine, month: Month, *, offset: int = 0, limit: int) -> list[DraftChange]:
    """The drafts of a month beside what the accounts were invoiced for the month before, the largest changes
    first."""
    with reading(engine) as connection:
        return month_review.draft_changes(connection, month, offset=offset, limit=limit)

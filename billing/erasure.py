"""Erases a customer's personal data where the law asks for it (GDPR, Article 17), and keeps what proves their
invoices: ids, task runs, quantities, amounts, and that each thing happened (docs/decisions/0029)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from billing.audit.entry import ERASURE, Digest, Step
from billing.audit.trail import changed_many, note
from billing.billing_details import check_text
from billing.closing import what_is_left
from billing.errors import Invalid, Refused
from billing.moving.tables import tables
from billing.repository import disputes, invoices, personal
from billing.repository.audited import digests, lock, observed
from billing.terms import get_account
from metering.collecting import state as sources
from metering.database import erasing, reading
from metering.period import day_of
from metering.store import EventStore
from metering.store.erasing import erase_names
from metering.store.sql import SqlEventStore

# What the laws that we know of ask for at most, in whole years after that of the issue.
RETAIN_YEARS = 10
_MOST_YEARS = 100


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, by kind; with `dry_run`, what would be. `kept`: the numbers of invoices that keep whom
    they were made out to, until `kept_until`. `left`: columns in which what was erased still stands, and in
    how many rows. `elsewhere`: what only people can do."""

    account: str
    dry_run: bool
    counts: dict[str, int]
    kept: tuple[str, ...]
    kept_until: date | None
    left: dict[str, int]
    elsewhere: tuple[str, ...]

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "account": self.account,
            "dry_run": self.dry_run,
            "erased": self.counts,
            "invoices_kept": list(self.kept),
            "kept_until": None if self.kept_until is None else self.kept_until.isoformat(),
            "left": self.left,
            "elsewhere": list(self.elsewhere),
        }


class _OnlyLooking(Exception):  # noqa: N818 - it is no error
    """Nothing of the transaction is to stay but what was found."""

    def __init__(self, found: Erased) -> None:
        super().__init__()
        self.found = found


def erase(
    engine: sa.Engine,
    store: EventStore,
    account_id: str,
    *,
    now: int,
    retain_years: int = RETAIN_YEARS,
    reason: str = "",
    by: str | None = None,
    dry_run: bool = False,
) -> Erased:
    """Erase what names the customer. Whom an invoice was made out to stays until `retain_years` whole years
    after that of its issue are over (0: not at all); done again then, it is erased too. Raises NotFound,
    Invalid, or Refused: unless the account is closed, and all is invoiced, paid and answered."""
    check_text("reason", reason)
    if not 0 <= retain_years <= _MOST_YEARS:
        raise Invalid(f"retain_years must be 0 to {_MOST_YEARS}", field="retain_years")
    with reading(engine) as connection:
        closed = get_account(connection, account_id).closed_on
    if closed is None or closed > day_of(now):
        raise Refused(f"account {account_id} is open; close it first: billing accounts close {account_id}")
    if months := what_is_left(engine, store, account_id)["invoices_to_come"]:
        assert isinstance(months, list)
        raise Refused(f"{account_id} is still to be billed; do it first: billing run {months[0]}")
    work = _Work(
        account_id, retain_years, reason, by, now, in_clickhouse=not isinstance(store, SqlEventStore)
    )
    try:
        with erasing(engine) as connection:
            counts = work.do(connection)
            if dry_run:
                raise _OnlyLooking(work.found(connection, counts, dry_run=True))
    except _OnlyLooking as looked:
        return looked.found
    with reading(engine) as connection:
        return work.found(connection, counts)


class _Work:
    """`values` is what names somebody, and is looked for afterwards."""

    def __init__(
        self, account: str, years: int, reason: str, by: str | None, now: int, *, in_clickhouse: bool
    ) -> None:
        self._in_clickhouse = in_clickhouse
        self._account = account
        self._years = years
        self._reason = reason
        self._by = by
        self._now = now
        self._kept: dict[str, str] = {}
        self._until: date | None = None
        self._values: set[str] = set()
        self._customer: str | None = None
        self._was: dict[str, dict[str, Digest]] = {}

    def do(self, connection: sa.Connection) -> dict[str, int]:
        """In a transaction: all of it, or nothing. Answers how much of each kind. Raises Refused."""
        account = self._account
        lock(connection, "account", account)
        held = get_account(connection, account)
        self._check(connection)
        self._customer = held.stripe_customer_id
        self._values = personal.names(connection, account)
        before = observed(connection, "account", account)
        for kind, ids in personal.things(connection, account).items():
            self._was[kind] = digests(connection, kind, ids)
        numbers = personal.erase_details(connection, account, self._values)
        counts = {
            "audit_details": len(numbers),
            "invoices": self._erase_invoices(connection),
            "disputes": self._note("dispute", personal.erase_disputes(connection, account), connection),
            "webhook_endpoints": self._note(
                "webhook_endpoint", personal.remove_endpoints(connection, account), connection
            ),
            "notifications": personal.remove_notifications(connection, account),
            "requests": personal.erase_requests(connection, account, self._values, self._now),
            "workspaces_and_flows": erase_names(connection, account),
        }
        personal.erase_account(connection, account, held.details.to_data())
        # Not by `changing`: what was before is not to be in the entry.
        note(
            connection,
            ERASURE,
            "account",
            account,
            now=self._now,
            by=self._by,
            account=account,
            reason=self._reason,
            detail={
                "erased": counts,
                "details_of": numbers,
                "invoices_kept": sorted(self._kept.values()),
            },
            states={account: Step(before.digest, observed(connection, "account", account).digest)},
        )
        return counts

    def found(self, connection: sa.Connection, counts: dict[str, int], *, dry_run: bool = False) -> Erased:
        left = personal.where_left(connection, tables(), self._values, self._kept)
        numbers = tuple(sorted(self._kept.values()))
        return Erased(self._account, dry_run, counts, numbers, self._until, left, tuple(self._elsewhere()))

    def _check(self, connection: sa.Connection) -> None:
        account = self._account
        if unpaid := invoices.unpaid_numbers(connection, account):
            raise Refused(
                f"invoice {unpaid[0]} of {account} is not paid; erase once it is paid, credited or void"
            )
        if personal.unsent(connection, account):
            raise Refused(
                f"something of {account} is still to be done at Stripe; see: billing invoices list --failing"
            )
        if open_ := disputes.search(connection, account=account, status="open", limit=1):
            raise Refused(
                f"dispute {open_[0].id} is open; answer it first: billing disputes answer {open_[0].id}"
            )
        for source in sources.search(connection, account=account):
            if source.kind == "prefect":
                raise Refused(
                    f"source {source.id} is still asked for task runs of {account}; remove it first: "
                    f"billing sources remove {source.id}"
                )

    def _erase_invoices(self, connection: sa.Connection) -> int:
        erased = []
        for row in personal.invoices_of(connection, self._account):
            said = json.loads(row.bill_to)
            if said == personal.impersonal(said):
                continue
            until = date(day_of(row.issued_at).year + 1 + self._years, 1, 1) if row.issued_at else None
            if until is not None and self._years and day_of(self._now) < until:
                self._kept[row.id] = row.number
                self._until = max(until, self._until or until)
                continue
            personal.erase_invoice(connection, row.id, said)
            erased.append(row)
        # A draft is not in the trail.
        self._note("invoice", [row.id for row in erased if row.status != "draft"], connection)
        return len(erased)

    def _note(self, kind: str, ids: list[str], connection: sa.Connection) -> int:
        changed_many(connection, ERASURE, kind, ids, now=self._now, was=self._was[kind], by=self._by)
        return len(ids)

    def _elsewhere(self) -> list[str]:
        said = [
            "backups, exports and documents that you keep; a backup that is restored is to be erased again"
        ]
        if self._customer is not None:
            said.insert(
                0,
                f"customer {self._customer} at Stripe, with its invoices: delete it, or have it redacted, in "
                "Stripe's dashboard",
            )
        if self._in_clickhouse:
            said.append("names of workspaces and flows in ClickHouse; docs/operations.md has the statement")
        return said

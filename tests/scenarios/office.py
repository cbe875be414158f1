"""Where stories happen: the real service on its own database, with a calendar that the story turns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any, Protocol

import sqlalchemy as sa

from billing.accounts import list_accounts
from billing.app import Service
from billing.explaining.operation import explain_preview
from billing.invoices import list_invoices, preview, show_invoice
from billing.plans import load_shipped
from billing.reporting.proof import verify
from billing.repository.invoices import Invoice
from billing.revenue.ledger import Entry
from billing.revenue.operation import journal_entries
from metering.database import make_engine
from metering.period import SECOND_US, Month, day_start
from metering.settings import Settings
from metering.store import EventStore
from metering.store.sql import SqlEventStore
from tests import recomputed
from tests.faults.killing import KillAt, Killed
from tests.quantities import Batch, QuantityStore, Sender, events_of

# Who does what is done in stories.
BY = "operator"


class Feed(Protocol):
    """Where runs are sent to."""

    store: EventStore

    def send(self, batches: list[Batch], now: int) -> None: ...


class QuantityFeed:
    """Keeps quantities: a million runs cost nothing."""

    def __init__(self) -> None:
        self.store = QuantityStore()

    def send(self, batches: list[Batch], now: int) -> None:
        self.store.receive(batches, now)


class EventFeed:
    """Sends every event to the real store."""

    def __init__(self, engine: sa.Engine) -> None:
        self.store = SqlEventStore(engine)

    def send(self, batches: list[Batch], now: int) -> None:
        self.store.append([event for batch in batches for event in events_of(batch)], now)


class Office:
    """`failed` and `unassigned` are what billing runs of the present step said; `result` is the answer of the
    last operation that gives one. `issued` are invoices as they were when they were made, `described` the ids
    of those that the story has described in full. One that `hurries` looks at no previews
    or journals, and proves nothing at the end."""

    def __init__(
        self, engine: sa.Engine, feed: Feed, *, hurries: bool = False, mortal: sa.Engine | None = None
    ) -> None:
        """`mortal`: another engine on the same database, of processes that are killed."""
        self.hurries = hurries
        self._mortal = mortal
        self.engine = engine
        self.feed = feed
        self.instant = 0
        settings = Settings(_env_file=None, database_url=engine.url.render_as_string(hide_password=False))
        self.service = Service(settings, engine, feed.store, lambda: self.instant, None)
        self.senders: dict[str, Sender] = {}
        self.failed: dict[str, str] = {}
        self.unassigned: dict[str, int] = {}
        self.result: dict[str, Any] = {}
        self.issued: dict[str, Invoice] = {}
        self.described: set[str] = set()
        # What the journal said of a month when it was billed.
        self.reported: dict[str, Entry] = {}

    @property
    def store(self) -> EventStore:
        return self.feed.store

    @property
    def now(self) -> int:
        """Each look at the clock is a second later than the last."""
        self.instant += SECOND_US
        return self.instant

    def open(self, on: date) -> None:
        """A day begins, or goes on."""
        if not self.instant:
            load_shipped(self.engine, day_start(on))
        self.instant = max(self.instant, day_start(on))

    def sender(self, account: str) -> Sender:
        return self.senders.setdefault(account, Sender(account))

    def send(self, batches: Iterable[Batch]) -> None:
        self.feed.send(list(batches), self.now)

    def bill(self, month: Month, account: str | None, early: bool, *, resumes: bool = False) -> None:
        """Run a month. What each account was shown before must be what it gets, unless the run `resumes`: it
        is then as of an earlier cutoff."""
        shown = {
            each.id: preview(self.engine, self.store, each.id, month)
            for each in list_accounts(self.engine)
            if self.live(each.id, month) is None and each.billing_from <= month
            if not (resumes or self.hurries)
        }
        foretold = {each: explain_preview(self.engine, self.store, each, month).to_data() for each in shown}
        self.instant += SECOND_US
        report = self.service.run_month(month, account=account, early=early)
        self.failed |= dict(report.failed)
        self.unassigned |= dict(report.unassigned)
        for invoice in report.invoices:
            if invoice.status != "draft" and invoice.id not in self.issued:
                self.issued[invoice.id] = invoice
            if invoice.account in shown:
                data = shown[invoice.account]
                assert data["lines"] == [line.to_data() for line in invoice.lines], "the preview differs"
                assert (data["total"], data["billable"]) == (invoice.total, invoice.billable)
                explained = foretold[invoice.account]
                recomputed.check(explained)
                assert explained["total"] == invoice.total
        if not (early or account or report.failed or self.hurries):
            entries = journal_entries(self.service, month)
            self.reported |= {each.id: each for each in entries if not each.id.endswith("/provisional")}

    def bill_and_be_killed(self, month: Month, step: int) -> None:
        """Run a month in a process of its own, which is killed at a step after the run was stored, at the
        latest before it is finished."""
        mortal = self._mortal or make_engine(self.engine.url.render_as_string(hide_password=False))
        kill = KillRun(step)
        kill.listen(mortal)
        with contextlib.suppress(Killed):
            replace(self.service, engine=mortal, store=SqlEventStore(mortal)).run_month(month)
            raise AssertionError("the run was to be killed")
        kill.forget(mortal)
        for invoice in self.all_invoices():
            if invoice.status != "draft":
                self.issued.setdefault(invoice.id, invoice)

    def invoice(self, name: str) -> Invoice:
        """By number; or the live one of an account and month, `acme/2026-10`; or the second one of a
        contract, `c1#2`."""
        account, slash, month = name.partition("/")
        contract, hash, place = name.partition("#")
        if slash:
            found = self.live(account, Month.parse(month))
            assert found is not None, f"{account} has no invoice for {month}"
            return found
        if hash:
            of_contract = [each for each in self.all_invoices() if each.kind == "contract"]
            return [each for each in of_contract if each.contract == contract][int(place) - 1]
        return show_invoice(self.engine, name)

    def live(self, account: str, month: Month) -> Invoice | None:
        """The usage invoice of an account and month that is not void."""
        found = [
            each
            for each in list_invoices(self.engine, account=account, month=month)
            if each.status != "void" and each.kind == "usage"
        ]
        assert len(found) <= 1, "two live invoices of a month"
        return found[0] if found else None

    def all_invoices(self) -> list[Invoice]:
        return list_invoices(self.engine)

    def verified(self, invoice: Invoice) -> bool:
        return verify(self.engine, self.store, invoice.id).ok


class KillRun(KillAt):
    """Its steps are counted once the billing run is stored, and it never comes to its end."""

    def __init__(self, step: int) -> None:
        super().__init__(step + 1)
        self._begun = False

    def step(self, *_: object) -> None:
        if self._begun:
            super().step()

    def watch(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO billing_runs"):
            self._begun = True
        if statement.startswith("UPDATE billing_runs"):
            raise Killed

    def listen(self, engine: sa.Engine) -> None:
        super().listen(engine)
        sa.event.listen(engine, "before_cursor_execute", self.watch)

    def forget(self, engine: sa.Engine) -> None:
        sa.event.remove(engine, "before_cursor_execute", self.watch)
        super().forget(engine)


def hurried(engine: sa.Engine) -> None:
    """A database that does not wait for the disk, for tests that make hundreds and kill none."""
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))

"""What a billing run did. A month has any number of invoices: none of them is kept here, they are read a page
at a time whenever the report is looked at, as they are then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from billing.completeness import Incomplete
from billing.invoices import each_invoice
from billing.repository.invoices import Invoice
from billing.repository.runs import BillingRun
from metering.period import Month, format_instant, format_optional


@dataclass(frozen=True, slots=True)
class RunInvoices:
    """The usage invoices of a month, of one account or of all, that are not void. To be gone through any
    number of times; each time they are read anew."""

    engine: sa.Engine
    month: Month
    account: str | None

    def __iter__(self) -> Iterator[Invoice]:
        for invoice in each_invoice(self.engine, account=self.account, month=self.month):
            if invoice.kind == "usage" and invoice.status != "void":
                yield invoice


@dataclass(slots=True)
class RunReport:
    """Quantities of accounts; `failed`, `unassigned` and `incomplete` in the order of accounts.
    `only_drafts`: accounts that are not billed yet."""

    id: str
    month: Month
    cutoff: int
    cutoff_at: int | None
    invoices: Iterable[Invoice] = ()
    finalized: int = 0
    drafted: int = 0
    sent: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    unassigned: list[tuple[str, int]] = field(default_factory=list)
    incomplete: list[Incomplete] = field(default_factory=list)
    only_drafts: set[str] = field(default_factory=set)

    def figures(self) -> dict[str, object]:
        """The report in the shape of JSON answers, without its invoices: what is stored of it."""
        return {
            "id": self.id,
            "month": str(self.month),
            "cutoff": self.cutoff,
            "cutoff_at": format_optional(self.cutoff_at),
            "finalized": self.finalized,
            "drafted": self.drafted,
            "sent": self.sent,
            "skipped": self.skipped,
            "failed": [{"account": account, "message": message} for account, message in self.failed],
            "unassigned": [{"account": account, "billable": count} for account, count in self.unassigned],
            "incomplete": [each.to_data() for each in self.incomplete],
        }

    def rows(self) -> Iterator[dict[str, object]]:
        """Its invoices in the shape of JSON answers."""
        return _rows(self.invoices)

    def to_data(self) -> dict[str, object]:
        """The report in the shape of JSON answers."""
        return self.figures() | {"invoices": list(self.rows())}


def report_of(engine: sa.Engine, run: BillingRun) -> RunReport:
    """The empty report of a run that begins."""
    return RunReport(
        run.id, run.month, run.cutoff, run.cutoff_at, RunInvoices(engine, run.month, run.account)
    )


def run_data(engine: sa.Engine, run: BillingRun) -> dict[str, object]:
    """A run that was started before, in the shape of JSON answers: all zeros until it has finished, then its
    figures as they were and its invoices as they are."""
    if run.report is None:
        report = RunReport(run.id, run.month, run.cutoff, run.cutoff_at).to_data()
    else:
        report = {"incomplete": []} | json.loads(run.report)
        report["invoices"] = list(_rows(RunInvoices(engine, run.month, run.account)))
    return report | {
        "started_at": format_instant(run.started_at),
        "finished_at": format_optional(run.finished_at),
    }


def _rows(invoices: Iterable[Invoice]) -> Iterator[dict[str, object]]:
    for each in invoices:
        yield {
            "account": each.account,
            "id": each.id,
            "number": each.number,
            "total": each.total,
            "status": each.status,
        }

"""How the demo looks: short sections, and tables that fit a hundred columns."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from billing.cli.documents import lines_table
from billing.cli.output import console, table
from billing.cli.reconcile import differences_table
from billing.demo.synthetic import CUSTOMERS
from billing.demo.workspace import Workspace
from billing.pricing.money import format_amount
from billing.reconciliation.operation import Reconciliation
from billing.repository.invoices import Invoice
from metering.ingestion import IngestReport
from metering.period import Month
from metering.usage import Counts

_NAMES = {each.account: each.name for each in CUSTOMERS}


def name_of(account: str) -> str:
    return _NAMES.get(account, account)


class Screen:
    """Prints to stdout, or nowhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(quiet=True) if quiet else console()

    def opening(self) -> None:
        self.text(
            "A month of task runs, metered, priced, invoiced and paid. A run counts if it succeeds and lasts",
            "longer than a second. One that does not count costs nothing, and is shown beside those that do.",
        )

    def section(self, heading: str, *lines: str) -> None:
        self._console.print()
        self._console.print(Text(heading, style="bold cyan"))
        self.text(*lines)

    def text(self, *lines: str) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)

    def ingested(self, reports: Mapping[str, IngestReport]) -> None:
        columns = ("received", "accepted", "duplicate", "ignored", "rejected")
        shown = table("events", *columns, numbers=columns)
        for name, report in reports.items():
            shown.add_row(name, *(f"{getattr(report, column):,}" for column in columns))
        self._console.print(shown)

    def usage(self, accounts: Mapping[str, Counts]) -> None:
        reasons = Counts().not_billed
        columns = ("billable", *(reason.replace("_", " ") for reason in reasons))
        shown = table("task runs of", *columns, numbers=columns)
        for account, counts in accounts.items():
            numbers = (counts.billable, *counts.not_billed.values())
            shown.add_row(account, *(f"{quantity:,}" for quantity in numbers))
        self._console.print(shown)

    def lines(self, document: Mapping[str, Any]) -> None:
        self._console.print(lines_table(document))

    def invoices(self, invoices: Sequence[Invoice]) -> None:
        numbers = ("billable", "not billed", "total")
        shown = table("invoice", "account", "plan", *numbers, "status", numbers=numbers)
        for each in _in_order(invoices):
            shown.add_row(
                each.number,
                each.account,
                each.plan,
                f"{each.billable:,}",
                f"{sum(each.not_billed.values()):,}",
                format_amount(each.total, each.currency),
                each.status,
            )
        self._console.print(shown)

    def statuses(self, invoices: Sequence[Invoice]) -> None:
        numbers = ("total", "paid")
        shown = table("invoice", "account", *numbers, "status", "how", numbers=numbers)
        for each in _in_order(invoices):
            shown.add_row(
                each.number,
                each.account,
                format_amount(each.total, each.currency),
                format_amount(each.amount_paid, each.currency),
                Text(each.status, style="green" if each.status == "paid" else "yellow"),
                _how(each),
            )
        self._console.print(shown)

    def revenue(self, found: Mapping[str, Any]) -> None:
        """Of a report in one currency what was earned, what is deferred, and what was not billed."""
        shown = table("", "amount", numbers=("amount",))
        earned, deferred, given = found["revenue"], found["deferred"], found["not_billed"]
        rows = [(name, amount) for name, amount in earned.items() if amount and name != "total"]
        runs = sum(given["runs"].values())
        rows += [
            ("Revenue of the month", earned["total"]),
            ("Deferred revenue: invoiced, and not drawn yet", deferred["deferred_revenue"]),
            ("Drawn or delivered, and not invoiced yet", deferred["unbilled_commitments"]),
            (f"Given away: {runs:,} runs that failed, were too short, …", given["total"]),
        ]
        for name, amount in rows:
            shown.add_row(name, format_amount(amount, found["currency"]))
        self._console.print(shown)

    def differences(self, report: Reconciliation) -> None:
        self._console.print(differences_table(report.differences))

    def further(self, workspace: Workspace, month: Month, number: str, link: str) -> None:
        billing = _program()
        self.section("Look further", "These commands work on the demo's data:")
        self.text(
            "",
            f"  export BILLING_DATABASE_URL={workspace.database_url}",
            f"  {billing} usage northwind-analytics --month {month} --by month --group-by flow",
            f"  {billing} invoices list",
            f"  {billing} preview northwind-analytics --month {month.next()}",
            f"  {billing} invoices show {number}",
            f"  {billing} invoices runs {number} | sha256sum",
            f"  {billing} reconcile {month}",
            f"  {billing} report revenue {month}",
            f"  {billing} audit verify",
            f"  {billing} ingest {workspace.folder / f'{month}.ndjson.gz'}  # all duplicates",
            f"  {billing} serve",
            f"  {billing} operators link you --role admin  # the operator's console, while that serves",
        )
        self.text(
            "",
            "While that serves, the pages of a customer, with its disputes and run lists, are at",
            "",
            f"  {link}",
        )


def _in_order(invoices: Sequence[Invoice]) -> list[Invoice]:
    return sorted(invoices, key=lambda each: each.number or "")


def _how(invoice: Invoice) -> str:
    if not invoice.total:
        return "nothing to pay, not sent"
    return "by card, at Stripe" if invoice.status == "paid" else "sent, due in 30 days"


def _program() -> str:
    """How the reader's shell finds this program."""
    if shutil.which("billing"):
        return "billing"
    beside = Path(sys.executable).with_name("billing")
    if not beside.exists():
        return f"{sys.executable} -m billing.cli"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)

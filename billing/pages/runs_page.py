"""The run list, a page at a time: of an invoice as of its cutoff, or of the month so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from billing.errors import Invalid
from billing.pages.invoice_page import issued
from billing.pages.visit import Visit, secured
from billing.reporting.outcome_words import OUTCOMES
from billing.reporting.proof import invoice_run_list, sendable
from billing.repository.invoices import Invoice
from metering.outcome import Outcome
from metering.period import Month
from metering.usage import Run

PAGE = 50
# Runs that one page looks at: where few fit, the reader asks for more instead of waiting.
LOOK_AT = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs somebody looks for; empty texts and None are anything. `id` is how the id begins, `flow` a
    part of the flow's name in any case."""

    outcome: Outcome | None = None
    flow: str = ""
    id: str = ""

    def fits(self, run: Run) -> bool:
        return self.outcome in (None, run.outcome) and self.flow.lower() in run.flow.lower()


@dataclass(frozen=True, slots=True)
class RunPage:
    """`next_id` is where the next page begins; None on the last. `looked_at` counts runs, shown or not."""

    runs: list[Run]
    next_id: str | None
    looked_at: int


def run_page(runs: Iterable[Run], wanted: Filter, *, size: int = PAGE, look_at: int = LOOK_AT) -> RunPage:
    """The first that fit of runs that come ascending by id, from an id on that is not before the wanted."""
    found: list[Run] = []
    looked = 0
    for run in runs:
        if wanted.id and not run.task_run_id.startswith(wanted.id):
            break  # what begins so lies together
        if len(found) == size or looked == look_at:
            return RunPage(found, run.task_run_id, looked)
        looked += 1
        if wanted.fits(run):
            found.append(run)
    return RunPage(found, None, looked)


def of_invoice(visit: Visit) -> Response:
    invoice = issued(visit)
    cutoff = _cutoff(invoice)
    return _show(visit, invoice.month, cutoff, invoice)


def month_so_far(visit: Visit) -> Response:
    month = Month.of(visit.now)
    return _show(visit, month, visit.service.store.cutoff().position, None)


def _show(visit: Visit, month: Month, cutoff: int, invoice: Invoice | None) -> Response:
    wanted = _filter(visit)
    start = max(visit.query("from"), wanted.id, key=str.encode)
    runs = visit.service.store.runs(visit.account.id, month.start, month.end, cutoff, from_id=start)
    page = run_page(runs, wanted)
    asked = {"outcome": visit.query("outcome") or "billable", "flow": wanted.flow, "id": wanted.id}
    more = None if page.next_id is None else "?" + urlencode(asked | {"from": page.next_id})
    return visit.page(
        "runs.html",
        invoice=invoice,
        month=month,
        page=page,
        asked=asked,
        more=more,
        first="?" + urlencode(asked),
        is_first=not visit.query("from"),
    )


def _filter(visit: Visit) -> Filter:
    """Raises Invalid."""
    name = visit.query("outcome") or "billable"
    if name not in (*OUTCOMES, "any"):
        raise Invalid(f"outcome {name!r} is not one of {', '.join((*OUTCOMES, 'any'))}", field="outcome")
    outcome = None if name == "any" else Outcome[name.upper()]
    return Filter(outcome, visit.query("flow"), visit.query("id"))


def csv(visit: Visit) -> Response:
    """The file of which the invoice has the SHA-256."""
    invoice = issued(visit)
    service = visit.service
    blocks = sendable(invoice_run_list(service.engine, service.store, invoice.id))
    first = next(blocks)  # what fails, fails before the answer begins
    headers = {"Content-Disposition": f'attachment; filename="{invoice.number}-runs.csv"'}
    return secured(service, StreamingResponse(chain([first], blocks), media_type="text/csv", headers=headers))


def _cutoff(invoice: Invoice) -> int:
    if invoice.kind == "contract" or invoice.cutoff is None:
        raise Invalid(f"invoice {invoice.number} is for a contract, and has no task runs", field="invoice")
    return invoice.cutoff

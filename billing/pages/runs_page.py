"""The run list, a page at a time: of an invoice as of its cutoff, or of a month as it is known now, all of it
or what is billed otherwise since an invoice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from billing.billing_month import counts_data
from billing.errors import Invalid
from billing.pages.invoice_page import issued, issued_as
from billing.pages.run_search import Candidate, Filter, billed_otherwise, plainly, run_page
from billing.pages.span import Span, read_span
from billing.pages.visit import Visit, secured
from billing.pricing.days import first_day, parse_day
from billing.reporting.outcome_words import OUTCOMES
from billing.reporting.proof import invoice_run_list, sendable
from billing.repository.invoices import Invoice
from metering.outcome import Outcome
from metering.period import DAY_US, Month, day_of, day_start
from metering.usage import Run


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list is of. `invoice`: its runs, and those of its month beside them. Without it the month as of
    `cutoff`; with `since`, what is billed otherwise than as of that invoice, up to `to` or to now."""

    month: Month
    cutoff: int
    invoice: Invoice | None = None
    since: Invoice | None = None
    to: Invoice | None = None

    @property
    def query(self) -> dict[str, str]:
        """What says so in an address below that of the list."""
        if self.invoice is not None:
            return {}
        named = {"since": self.since, "to": self.to}
        asked = {name: each.number for name, each in named.items() if each is not None and each.number}
        return {"month": str(self.month), **asked}


def of_invoice(visit: Visit) -> Response:
    invoice = issued(visit)
    return _show(visit, Listed(invoice.month, _cutoff(invoice), invoice))


def of_month(visit: Visit) -> Response:
    month = read_span({"month": visit.query("month")}, day_of(visit.now)).month
    since, to = (_named(visit, name) for name in ("since", "to"))
    cutoff = visit.service.store.cutoff().position if to is None else _cutoff(to)
    return _show(visit, Listed(month, cutoff, None, since, to))


def _named(visit: Visit, parameter: str) -> Invoice | None:
    name = visit.query(parameter)
    return issued_as(visit, name) if name else None


def _show(visit: Visit, listed: Listed) -> Response:
    wanted, day = _filter(visit), _day(visit, listed.month)
    begin = max(visit.query("from"), wanted.id, key=str.encode)
    page = run_page(_candidates(visit, listed, day, begin), wanted)
    asked = {
        "outcome": visit.query("outcome") or _usual(visit),
        "day": "" if day is None else day.isoformat(),
        "workspace": wanted.workspace,
        "flow": wanted.flow,
        "whole": "yes" if wanted.whole else "",
        "id": wanted.id,
    }
    told = {**listed.query, **{name: text for name, text in asked.items() if text}}
    span = Span("month", first_day(listed.month))
    return visit.page(
        "runs.html",
        invoice=listed.invoice,
        listed=listed,
        month=listed.month,
        is_now=listed.month == Month.of(visit.now) and listed.since is None,
        earlier=span.previous,
        later=span.following if span.following.start <= visit.now else None,
        page=page,
        asked=asked,
        is_filtered=any(text for name, text in asked.items() if name != "outcome"),
        more=None if page.next_id is None else "?" + urlencode(told | {"from": page.next_id}),
        first="?" + urlencode(told),
        is_first=not visit.query("from"),
    )


def _candidates(visit: Visit, listed: Listed, day: date | None, begin: str) -> Iterator[Candidate]:
    store, account = visit.service.store, visit.account.id
    first, last = (day, day) if day is not None else _days(visit, listed)
    start, end = day_start(first), day_start(last) + DAY_US
    now = store.runs(account, start, end, listed.cutoff, from_id=begin)
    if listed.since is None:
        return plainly(now)
    then = store.runs(account, start, end, _cutoff(listed.since), from_id=begin)

    def find(task_run_id: str) -> Run | None:
        return store.find(account, [task_run_id], listed.cutoff).get(task_run_id)

    return billed_otherwise(then, now, find)


def _days(visit: Visit, listed: Listed) -> tuple[date, date]:
    """The first and the last day to look at. Of what changed since an invoice those whose counts changed, so
    that few are looked through: an adjustment is the sum of what these days have more or fewer."""
    month, store, account = listed.month, visit.service.store, visit.account.id
    whole = first_day(month), month.last_day
    if listed.since is None or listed.since.month != month:
        return whole
    if listed.to is not None and not store.unchanged_since(account, month.start, month.end, listed.cutoff):
        return whole
    windows = store.usage(account, month.start, month.end, by="day").windows
    now = {day_of(each.start).isoformat(): counts_data(each.counts) for each in windows if each.counts.total}
    then = listed.since.usage_by_day
    changed = sorted(day for day in now.keys() | then.keys() if now.get(day) != then.get(day))
    return (parse_day(changed[0]), parse_day(changed[-1])) if changed else whole


def _usual(visit: Visit) -> str:
    """What is listed unless somebody asks: of what changed also what is no longer billed."""
    return "any" if visit.query("since") else "billable"


def _filter(visit: Visit) -> Filter:
    """Raises Invalid."""
    name = visit.query("outcome") or _usual(visit)
    if name not in (*OUTCOMES, "any"):
        raise Invalid(f"outcome {name!r} is not one of {', '.join((*OUTCOMES, 'any'))}", field="outcome")
    outcome = None if name == "any" else Outcome[name.upper()]
    whole = visit.query("whole") == "yes"
    return Filter(outcome, visit.query("workspace"), visit.query("flow"), whole, visit.query("id"))


def _day(visit: Visit, month: Month) -> date | None:
    """Raises Invalid."""
    text = visit.query("day")
    if not text:
        return None
    try:
        day = parse_day(text)
    except ValueError as error:
        raise Invalid(f"day {error}", field="day") from None
    if Month.of(day_start(day)) != month:
        raise Invalid(f"day {day} is not in {month}, the month of this list", field="day")
    return day


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

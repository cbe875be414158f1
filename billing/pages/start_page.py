"""The first page: what has been used, what it will cost and why, what was free, and how to pay."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from billing.charts import bar_chart
from billing.contract_invoices import report_contract
from billing.disputes import list_disputes
from billing.errors import NotFound
from billing.pages.span import Span, span_of
from billing.pages.timeline import chart_of, rows_of
from billing.pages.visit import Visit
from billing.pages.words import svg
from billing.pricing.catalogue import Bracket
from billing.pricing.outlook import Outlook
from billing.reporting.contract_chart import NARROW, burn_down
from billing.reporting.contract_page import headline, range_text
from billing.reporting.contract_report import ContractReport
from billing.summary import Summary, account_summary
from metering.period import HOUR_US, day_of, day_start


@dataclass(frozen=True, slots=True)
class Committed:
    """What the page says of a contract: its report, in a sentence, and its balance as a picture."""

    report: ContractReport
    headline: str
    range: str
    wide: str
    narrow: str


def start(visit: Visit) -> Response:
    found = account_summary(visit.service, visit.account.id)
    waiting = list_disputes(visit.service.engine, account=visit.account.id, status="open")
    span = span_of("month", day_of(visit.now))
    return visit.page(
        "start.html",
        summary=found,
        outlook=found.outlook,
        so_far=None if found.outlook is None else found.outlook.document.to_data(),
        not_billed_total=found.counts.total - found.counts.billable,
        next_bracket=None if found.outlook is None else _next_bracket(found.outlook),
        committed=_committed(visit, found),
        chart=_chart(found, span),
        span=span,
        invoices=found.invoices,
        waiting=len(waiting),
        watermark=found.watermark,
        is_closed=found.account.closed_on is not None and found.account.closed_on <= day_of(visit.now),
        invoiced_from=found.month.end + visit.service.settings.grace_hours * HOUR_US,
    )


def _next_bracket(found: Outlook) -> Bracket | None:
    """The one after that of the next run."""
    brackets = found.version.brackets
    return brackets[found.standing.bracket] if found.standing.bracket < len(brackets) else None


def _chart(found: Summary, span: Span) -> str:
    """This month by the day, from what is at hand."""
    counts = {day_start(day): each for day, each in found.usage.items()}
    ahead = found.outlook.forecast if found.outlook is not None else None
    rows = rows_of(span, counts, counts, {} if ahead is None else ahead.days, found.now)
    said = f"{found.counts.billable:,} billable so far"
    if ahead is not None:
        said += f", {ahead.more:,} more are expected"
    description = f"{said}. The page of usage has the figures of each day in a table."
    return svg(bar_chart(chart_of(span, rows, name="this-month", description=description)))


def _committed(visit: Visit, found: Summary) -> Committed | None:
    contract = found.contract
    if contract is None:
        return None
    service = visit.service
    try:
        report, _ = report_contract(
            service.engine, service.store, contract.id, day_of(visit.now), account=visit.account.id
        )
    except NotFound:  # withdrawn meanwhile
        return None
    return Committed(
        report,
        headline(report),
        range_text(report),
        svg(burn_down(report, name="burn-down")),
        svg(burn_down(report, width=NARROW, name="burn-down-narrow")),
    )

"""What somebody should look at before it is too late: contracts near their end, protections that end soon,
payments that failed."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from billing.console.visit import Visit
from billing.contract_figures import contract_figures
from billing.grandfathering import LISTED_DAYS, protections_ending
from billing.invoices import failing_invoices

CONTRACTS = 20
PAYMENTS = 50
_FURTHEST = 10_000
_MOST_PROTECTIONS = 100


def contracts(visit: Visit) -> Response:
    """Of some contracts at a time: the figures of one take some milliseconds."""
    text = visit.query("from")
    offset = min(int(text), _FURTHEST) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    found = contract_figures(visit.service, now=visit.now, offset=offset, limit=CONTRACTS + 1)
    ending = protections_ending(visit.service.engine, visit.now)
    return visit.page(
        "contracts.html",
        contracts=found[:CONTRACTS],
        more=offset + CONTRACTS if len(found) > CONTRACTS else None,
        offset=offset,
        ending=ending[:_MOST_PROTECTIONS],
        ending_count=len(ending),
        days=LISTED_DAYS,
    )


def payments(visit: Visit) -> Response:
    after = visit.query("after", 80)
    found = failing_invoices(visit.service.engine, visit.now, after=after, limit=PAYMENTS)
    more = "?" + urlencode({"after": found[-1]["id"]}) if len(found) == PAYMENTS else None
    return visit.page(
        "payments.html",
        invoices=found,
        more=more,
        is_first=not after,
        has_stripe=visit.service.gateway is not None,
    )

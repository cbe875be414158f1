"""What draft plans, or another threshold, would have made of what really ran: with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from starlette.responses import Response

from billing import charts
from billing.backtest.operation import FREE_RUNS, backtest, check_months
from billing.backtest.report import band_name
from billing.backtest.thresholds import read_threshold, what_if
from billing.console.catalogue_pages import EXAMPLE, draft_text
from billing.console.visit import Visit
from billing.console.work import Stages, report_of
from billing.errors import Invalid
from billing.plans import list_plans
from billing.pricing.currency import currency
from billing.pricing.errors import PricingError
from billing.pricing.plan_file import parse_plan_file
from metering.period import Month

SUBJECT = "backtest"
# Accounts that a report keeps, those first who would pay more.
_ACCOUNTS = 100
_THRESHOLDS = "0.5 2"


def show(visit: Visit) -> Response:
    """The form, and what the backtest before came to."""
    return _page(visit, EXAMPLE)


def start(visit: Visit) -> Response:
    service = visit.service
    text, name = draft_text(visit)
    instead_of, threshold = visit.field("instead_of") or None, visit.field("threshold") or None
    solve = [each for each in visit.field("solve").split() if each]
    unbilled = visit.field("all_months") == "yes"
    try:
        if not text.strip():
            raise Invalid("paste a plan, or choose a file", field="plan")
        parse_plan_file(text, name)  # said on the form, not behind it
        first, last = _months(visit)
        if threshold is not None:
            read_threshold(threshold)
    except (Invalid, PricingError) as error:
        return _page(visit, text, str(error))

    def do(_stages: Stages) -> Mapping[str, Any]:
        report = backtest(
            service.engine,
            service.store,
            [(text, name)],
            first,
            last,
            now=service.now(),
            instead_of=instead_of,
            solve=solve,
            unbilled=unbilled,
            threshold=threshold,
        )
        return {**report.to_data(limit=_ACCOUNTS), "text": text[:20_000]}

    return visit.begin("backtest", SUBJECT, do)


def show_what_if(visit: Visit) -> Response:
    return _what_if_page(visit)


def start_what_if(visit: Visit) -> Response:
    service = visit.service
    thresholds = visit.field("thresholds").replace(",", " ").split()
    try:
        first, last = _months(visit)
        if not thresholds:
            raise Invalid("name a threshold, in seconds", field="threshold")
        for each in thresholds:
            read_threshold(each)
    except Invalid as error:
        return _what_if_page(visit, str(error))

    def do(_stages: Stages) -> Mapping[str, Any]:
        found = what_if(service.engine, service.store, thresholds, first, last, now=service.now())
        return found.to_data(limit=_ACCOUNTS)

    return visit.begin("what-if", SUBJECT, do)


def _months(visit: Visit) -> tuple[Month, Month]:
    try:
        first, last = (Month.parse(visit.field(name)) for name in ("from", "to"))
    except ValueError as error:
        raise Invalid(str(error), field="months") from None
    check_months(first, last, visit.now)
    return first, last


def _page(visit: Visit, text: str, wrong: str | None = None) -> Response:
    held = visit.work.last("backtest", SUBJECT)
    found = report_of(held)
    if found is not None and wrong is None and text == EXAMPLE:
        text = found["text"]
    return visit.page(
        "backtest.html",
        200 if wrong is None else 422,
        text=text,
        wrong=wrong,
        job=held,
        found=found,
        pictures=[] if found is None else _pictures(found),
        names=sorted({name for each in list_plans(visit.service.engine) for name in (each.plan, each.id)}),
        free_runs=FREE_RUNS,
        **_asked(visit, found),
    )


def _what_if_page(visit: Visit, wrong: str | None = None) -> Response:
    held = visit.work.last("what-if", SUBJECT)
    found = report_of(held)
    picture = "" if found is None else charts.durations("durations", found["histogram"])
    return visit.page(
        "what_if.html",
        200 if wrong is None else 422,
        wrong=wrong,
        job=held,
        found=found,
        picture=picture,
        thresholds=visit.field("thresholds") or _THRESHOLDS,
        **_asked(visit, found),
    )


def _asked(visit: Visit, found: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was asked for, or is shown, or the last three whole months."""
    last = Month.of(visit.now).previous()
    shown = found or {"from": str(last.previous().previous()), "to": str(last)}
    return {
        "first_month": visit.field("from") or shown["from"],
        "last_month": visit.field("to") or shown["to"],
        "asked": {name: visit.field(name) for name in ("instead_of", "solve", "threshold", "all_months")},
    }


def _pictures(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each currency, its total and two pictures; pictures alone where there is something to see."""
    made = []
    for number, total in enumerate(found["totals"]):
        code = total["currency"]
        months = [each for each in found["months"] if each["currency"] == code]
        bands = [each for each in found["distribution"] if each["currency"] == code]
        named = [(_label(each), band_name(each), each["accounts"]) for each in bands]
        if not total["current_net"] and not total["draft_net"]:
            continue
        revenue = charts.revenue(f"revenue-{number}", months, code, 10 ** currency(code).exponent)
        made.append(
            {
                "total": total,
                "revenue": revenue,
                "changes": charts.changes(f"changes-{number}", named, code),
                "months": months,
                "plans": _by_plan(found["plans"], code),
                "bands": [(name, each) for (_, name, _), each in zip(named, bands, strict=True)],
                "risks": [each for each in found["at_risk"] if each["currency"] == code and each["accounts"]],
                "crossings": [
                    each
                    for each in found["crossings"]
                    if each["currency"] == code and each["bracket"] != each["bracket_then"]
                ],
                "accounts": [
                    each for each in found["accounts"] if each["currency"] == code and each["change"] > 0
                ],
            }
        )
    return made


def _by_plan(rows: Sequence[Mapping[str, Any]], code: str) -> list[dict[str, Any]]:
    """All months of a plan together."""

    def plans(row: Mapping[str, Any]) -> tuple[str, str]:
        return row["plan"], row["plan_then"]

    here = sorted((each for each in rows if each["currency"] == code), key=plans)
    found = []
    for (plan, then), group in groupby(here, key=plans):
        held = list(group)
        sums = {name: sum(each[name] for each in held) for name in ("billable", "current_net", "draft_net")}
        found.append({"plan": plan, "plan_then": then, **sums})
    return found


def _label(band: Mapping[str, Any]) -> str:
    above, up_to = band["above_percent"], band["up_to_percent"]
    if band["from_nothing"]:
        return "new"
    if above == up_to == 0:
        return "="
    if above is None:
        return f"<{up_to}".replace("-", "−")
    if up_to is None:
        return f">{above}"
    return f"≤{up_to}" if up_to > 0 else f"<{up_to}".replace("-", "−")

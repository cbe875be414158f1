"""The report on a contract as a page for the customer: one file of HTML, without script and without anything
that is fetched, which prints on A4 and reads in light and dark."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from billing.pricing.money import format_amount, plain
from billing.reporting.contract_chart import burn_down
from billing.reporting.contract_pace import WINDOW
from billing.reporting.contract_report import ContractReport
from billing.reporting.contract_text import long_day, month_name, runs_text, short_day
from metering.period import Month

_FIVE_DIGITS = Context(prec=5, rounding=ROUND_HALF_UP)  # enough of a price to compare it by


def contract_page(report: ContractReport, customer: str | None = None) -> str:
    """The whole document. `customer` is the name to write above it, the account's id if there is none; any
    text is fit, for every value is escaped."""
    import jinja2  # slow to import, and only a page needs it
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("billing.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    code = report.contract.currency

    def month(value: Month) -> str:
        return f"{month_name(value)} {value.year}"

    def price(value: Decimal | None) -> str:
        return "none yet" if value is None else f"{plain(_FIVE_DIGITS.plus(value))} {code}"

    environment.filters |= {
        "amount": lambda amount: format_amount(amount, code),
        "count": lambda quantity: f"{quantity:,}",
        "day": short_day,
        "long_day": long_day,
        "month": month,
        "price": price,
        "runs": runs_text,
    }
    return environment.get_template("contract_report.html").render(
        report=report,
        contract=report.contract,
        customer=customer or report.contract.account,
        last_day=report.contract.end - timedelta(days=1),
        headline=headline(report),
        range_text=range_text(report),
        pace=f"{report.pace.per_day:,f}",
        window=len(report.pace.counts),
        full_window=WINDOW,
        over=report.as_of >= report.contract.end - timedelta(days=1),
        # Made of numbers, and of text that it escapes itself.
        chart=markupsafe.Markup(burn_down(report)),  # noqa: S704
    )


def headline(report: ContractReport) -> str:
    """The one sentence to read if only one is read."""
    contract = report.contract
    left = f"{runs_text(report.remaining)} of {report.committed:,} committed left"
    if report.as_of < contract.start:
        return f"The term begins on {long_day(contract.start)}."
    if report.as_of >= contract.end:
        used = f"{report.used:,} of {runs_text(report.committed)} committed were used"
        return f"The term has ended: {used}, {report.expired:,} expired."
    if report.runs_out_on is not None and report.runs_out_on <= report.as_of:
        return f"The balance ran out on {long_day(report.runs_out_on)}; usage since is on demand."
    if report.runs_out_on is not None:
        return f"{left}; at the present pace the balance runs out on {long_day(report.runs_out_on)}."
    if report.expected_unused:
        return f"{left}; at the present pace {report.expected_unused:,} will expire unused."
    return f"{left}."


def range_text(report: ContractReport) -> str:
    """The range of the day on which the balance runs out; empty where it is one day."""
    if report.runs_out_range is None or report.runs_out_range[0] == report.runs_out_range[1]:
        return ""
    early, late = report.runs_out_range
    if late == report.contract.end:
        return f"from {short_day(early)}, or not within the term"
    if early.year == late.year:
        return f"{early.day} {short_day(early).split()[1]} to {short_day(late)}"
    return f"{short_day(early)} to {short_day(late)}"

"""The tables of docs/rules.md that are marked `<!-- worked: … -->`, executed against the code."""

from __future__ import annotations

import calendar
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

from billing.pricing.adjustment import Adjustment, Priced
from billing.pricing.contract import Instalments
from billing.pricing.credit import Credit
from billing.pricing.drawdown import draw
from billing.pricing.instalments import instalments
from billing.pricing.invoice import Basis, compose
from billing.pricing.money import format_amount, parse_amount
from billing.pricing.on_demand import ContractMonth
from billing.pricing.price_protection import PriceProtection
from billing.pricing.program_discount import Program, ProgramName
from billing.pricing.run_ledger import balance, to_record
from metering.period import Month
from tests.billing.pricing.contracts import ACME, acme, day, grant
from tests.billing.pricing.data import STANDARD, STARTER, counts

RULES = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
_TABLE = re.compile(r"<!-- worked: (?P<name>.+?) -->\n\n(?P<table>(?:\|.*\n)+)")
TABLES = {
    match["name"]: [
        [cell.strip() for cell in line.strip("|").split("|")] for line in match["table"].splitlines()[2:]
    ]
    for match in _TABLE.finditer(RULES)
}


def test_every_marked_table_is_found_and_none_is_new() -> None:
    assert RULES.count("<!-- worked:") == len(TABLES)
    sizes = {name: len(rows) for name, rows in TABLES.items()}
    assert sizes == {"drawing 1,000,000 runs": 2, "instalments": 5, "a stack of terms": 6}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _months(text: str) -> list[Month]:
    first, last = map(Month.parse, text.split(" to "))
    found = [first]
    while found[-1] < last:
        found.append(found[-1].next())
    return found


def _last_day(month: Month) -> date:
    return date(month.year, month.number, calendar.monthrange(month.year, month.number)[1])


def test_drawing() -> None:
    rows = TABLES["drawing 1,000,000 runs"]
    used = {month: _number(row[1]) for row in rows for month in _months(row[0])}
    # All but one run on the 3rd of a month: the sums of a month do not depend on its days.
    usage = {}
    for month, runs in used.items():
        usage[date(month.year, month.number, 3)] = runs - 1
        usage[_last_day(month)] = 1
    drawdown = draw(ACME.grants, usage)
    ledger = to_record((), ACME.grants, drawdown, as_of=day("2027-01-01"), recorded_at=0)
    for months, _, drawn, on_demand, amount, left in rows:
        for month in _months(months):
            assert (drawdown.drawn(month), drawdown.on_demand(month)) == (_number(drawn), _number(on_demand))
            contract = ContractMonth(ACME.id, drawdown.drawn(month), drawdown.on_demand(month))
            document = compose(Basis("acme", month, "USD", counts(used[month]), STANDARD, contract))
            assert format_amount(document.total, "USD") == amount
        assert balance(ledger, _last_day(_months(months)[-1])) == _number(left)


def test_instalments() -> None:
    for schedule, granted_on, price, due in TABLES["instalments"]:
        g = grant("g", 1, since=granted_on, price=parse_amount(price, "USD"))
        parts = instalments(acme(g, instalments=Instalments(schedule)))
        shown = [f"{part.due_on} {format_amount(part.amount, 'USD').removesuffix(' USD')}" for part in parts]
        assert " · ".join(shown) == due


def test_a_stack_of_terms() -> None:
    ends_on = day("2027-01-01")
    credit = Credit("c", 5_000, 0, "goodwill")
    document = compose(
        Basis(
            "acme",
            Month(2026, 10),
            "USD",
            counts(20_000),
            STARTER,
            programs=(Program(ProgramName.STARTUPS, Decimal(50), day("2026-01-01"), ends_on),),
            protection=PriceProtection(1_000, ends_on),
            adjustments=(Adjustment(Month(2026, 9), Priced(300, 11_200), Priced(0, 10_000)),),
            credits=(credit,),
        )
    )
    lines = [
        [line.description, f"{line.quantity:,}", format_amount(line.amount, "USD")] for line in document.lines
    ]
    assert lines == TABLES["a stack of terms"]
    assert document.total == 0
    assert (
        f"{format_amount(credit.amount - document.credits_used[0].amount, 'USD')[:-4]} of the credit" in RULES
    )

"""The tables of docs/rules.md that are marked `<!-- checked: … -->`, executed against the code."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from pathlib import Path

import pytest

from billing.pricing.invoice import Basis, Document, compose
from billing.pricing.money import format_amount, parse_amount, round_to_minor
from metering.outcome import Action, Outcome, Statement, classify, judged, precedence, winner
from metering.period import Month
from metering.usage import Counts
from tests.billing.pricing.data import SHIPPED

RULES = (Path(__file__).parents[1] / "docs" / "rules.md").read_text(encoding="utf-8")
_TABLE = re.compile(r"<!-- checked: (?P<name>.+?) -->\n\n(?P<table>(?:\|.*\n)+)")
Row = tuple[str, ...]


def _rows(table: str) -> tuple[Row, ...]:
    lines = [
        tuple(cell.strip() for cell in line.strip().strip("|").split("|")) for line in table.splitlines()
    ]
    return tuple(lines[2:])


TABLES = {match["name"]: _rows(match["table"]) for match in _TABLE.finditer(RULES)}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _compose(plan: str, billable: int) -> Document:
    counts = Counts({Outcome.BILLABLE: billable})
    return compose(Basis("acme", Month(2026, 10), "USD", counts, SHIPPED.get(plan)))


def test_every_marked_table_is_found_and_none_is_new() -> None:
    assert RULES.count("<!-- checked:") == len(TABLES)
    assert {name: len(rows) for name, rows in TABLES.items()} == {
        "one event": 11,
        "many events": 8,
        "corrections": 9,
        "catalogue": 5,
        "rounding": 8,
        "months": 15,
        "lines of 123,456 runs on starter@2021-02": 3,
    }


@pytest.mark.parametrize(("state", "seconds", "says"), TABLES["one event"])
def test_one_event(state: str, seconds: str, says: str) -> None:
    outcome = classify(state, int(Decimal(seconds) * 1_000_000))
    assert (outcome.reason if outcome is not None else "nothing") == says


@pytest.mark.parametrize(("events", "says"), TABLES["many events"])
def test_many_events(events: str, says: str) -> None:
    statements = [
        Statement(Outcome[name.strip().upper()], ended_at, 2_000_000, "", "", "")
        for ended_at, name in enumerate(events.split(","))
    ]
    for order in itertools.permutations(statements):
        assert winner(order).outcome.reason == says


@pytest.mark.parametrize(("events", "correction", "says"), TABLES["corrections"])
def test_corrections(events: str, correction: str, says: str) -> None:
    statements = [
        Statement(Outcome[name.strip().upper()], ended_at, 2_000_000, "", "", "")
        for ended_at, name in enumerate(events.split(","))
    ]
    for order in itertools.permutations(statements):
        assert judged(order, Action[correction.upper()]).outcome.reason == says


def test_the_order_of_outcomes() -> None:
    line = next(line for line in RULES.splitlines() if line.startswith("`reversed >"))
    assert line.strip("`").split(" > ") == [outcome.reason for outcome in sorted(Outcome, reverse=True)]


def test_the_order_among_equals() -> None:
    """Earliest end, then shortest duration, then the smallest source, flow and workspace."""
    base = Statement(Outcome.BILLABLE, 5, 5, "b", "b", "b")
    ranked = [
        base._replace(ended_at=4, duration_us=9, source="z"),
        base._replace(duration_us=4, source="z", flow="z"),
        base._replace(source="a", flow="z", workspace="z"),
        base._replace(flow="a", workspace="z"),
        base._replace(workspace="a"),
        base,
    ]
    assert sorted(ranked[3:] + ranked[:3], key=precedence) == ranked


def test_the_shipped_catalogue() -> None:
    for column, plan in ((1, "starter@2021-02"), (2, "standard@2021-02")):
        written = [
            (
                None if row[0] == "without limit" else _number(row[0]),
                Decimal(0) if row[column] == "free" else Decimal(row[column]),
            )
            for row in TABLES["catalogue"]
        ]
        assert written == [(bracket.up_to, bracket.unit_price) for bracket in SHIPPED.get(plan).brackets]


@pytest.mark.parametrize(("exact", "currency", "shown", "minor"), TABLES["rounding"])
def test_rounding(exact: str, currency: str, shown: str, minor: str) -> None:
    amount = round_to_minor(Decimal(exact), currency)
    assert (str(amount), format_amount(amount, currency)) == (minor, shown)


@pytest.mark.parametrize(("plan", "billable", "total"), TABLES["months"])
def test_whole_months(plan: str, billable: str, total: str) -> None:
    document = _compose(plan, _number(billable))
    assert format_amount(document.total, document.currency) == total


def test_the_lines_of_a_month() -> None:
    lines = [
        (
            line.description,
            f"{line.quantity:,}",
            line.to_data()["unit_price"],
            line.to_data()["exact_amount"],
            format_amount(line.amount, "USD"),
        )
        for line in _compose("starter@2021-02", 123_456).lines
    ]
    assert lines == list(TABLES["lines of 123,456 runs on starter@2021-02"])


def test_amounts_written_on_the_command_line_are_those_shown() -> None:
    for _, _, total in TABLES["months"]:
        assert format_amount(parse_amount(total.removesuffix(" USD").replace(",", ""), "USD"), "USD") == total

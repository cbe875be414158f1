"""Does an explanation's calculations again, from its own numbers and nothing else: in fractions, from the
JSON form, sharing no code with what made it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import floor
from typing import Any

# The places that amounts have, and the smallest coin, where they are not two and 0.01.
_PLACES = {"JPY": 0, "ISK": 2, "KWD": 3}
_COIN = {"JPY": Fraction(1), "ISK": Fraction(1), "KWD": Fraction(1, 1000)}


def _half_up(value: Fraction, code: str) -> Fraction:
    coin = _COIN.get(code, Fraction(1, 100))
    coins = abs(value) / coin
    whole = floor(coins + Fraction(1, 2)) * coin
    return -whole if value < 0 else whole


def evaluated(step: Mapping[str, Any]) -> Fraction:  # noqa: PLR0911 - one an operation
    """What a step's values come to by its operation."""
    first, *rest = (Fraction(each["value"]) for each in step["values"])
    code = step["result"]["unit"]
    match step["operation"]:
        case "add":
            return first + sum(rest)
        case "subtract":
            return first - sum(rest)
        case "multiply":
            (price,) = rest
            return first * price
        case "percent":
            (percent,) = rest
            return first * percent / 100
        case "least":
            return min(first, *rest)
        case "round":
            assert rest == []
            return _half_up(first, code)
        case "negate":
            assert rest == []
            return -first
        case "share":
            dates, place = rest
            coin = _COIN.get(code, Fraction(1, 100))
            each, odd = divmod(first / coin, dates)
            return coin * (each + (1 if place <= odd else 0))
        case unknown:
            raise AssertionError(f"what is {unknown}?")


def recompute(line: Mapping[str, Any], code: str) -> int:
    """The amount of an explained line, in minor units, done again step by step. Every result but the last is
    used by a later step: none is beside the point."""
    assert line["steps"], f"not explained: {line}"
    results = [evaluated(step) for step in line["steps"]]
    for at, (step, result) in enumerate(zip(line["steps"], results, strict=True)):
        assert Fraction(step["result"]["value"]) == result, step["text"]
        later = [Fraction(each["value"]) for other in line["steps"][at + 1 :] for each in other["values"]]
        assert at + 1 == len(results) or result in later, f"nobody uses: {step['text']}"
    assert line["steps"][-1]["result"]["unit"] == code
    minor = results[-1] * 10 ** _PLACES.get(code, 2)
    assert minor.denominator == 1
    return int(minor)


def check(data: Mapping[str, Any]) -> None:
    """That an explanation, in the shape of JSON answers, explains: each line to the cent, the bracket table,
    what committed runs served, and the change against the month before."""
    code = data["currency"]
    assert data["agrees"] is True
    for number, line in enumerate(data["lines"], start=1):
        assert line["number"] == number and line["agrees"] is True
        assert recompute(line, code) == line["amount"], line
        assert line["text"].endswith(".") and all(each["text"] for each in line["steps"])
    assert sum(line["amount"] for line in data["lines"]) == data["total"]
    if data["kind"] == "contract":
        return
    rated = [line for line in data["lines"] if line["kind"] in ("usage", "on_demand")]
    rows = [row for row in data["brackets"] if row["quantity"]]
    assert [(row["quantity"], row["amount"]) for row in rows] == [
        (line["quantity"], line["amount"]) for line in rated
    ]
    assert sum(row["quantity"] for row in data["brackets"]) == data["rated"]
    for row in data["brackets"]:
        assert Fraction(row["exact_amount"]) == row["quantity"] * Fraction(row["unit_price"])
    drivers = data["change"]["drivers"]
    assert sum(each["amount"] for each in drivers) == data["change"]["difference"]
    assert data["total"] - (data["change"]["total"] or 0) == data["change"]["difference"]
    assert all(each["amount"] for each in drivers)
    if data["contract"] is not None and data["contract"]["days"] is not None:
        _check_draws(data)


def _check_draws(data: Mapping[str, Any]) -> None:
    held = data["contract"]
    assert sum(day["drawn"] for day in held["days"]) == held["drawn"]
    assert sum(day["on_demand"] for day in held["days"]) == held["on_demand"] == data["rated"]
    assert sum(day["billable"] for day in held["days"]) == data["billable"]
    for grant in held["grants"]:
        assert grant["before"] - grant["drawn"] == grant["left"] >= 0
        by_day = sum(day["by_grant"].get(grant["grant"], 0) for day in held["days"])
        assert by_day == grant["drawn"]

"""A calculation as a list of steps, each with its numbers and its result: to be read, and to be done again.

Numbers are exact decimals: whole for task runs, in major units for money. What a step's values are is said in
words beside them; a value that is the result of an earlier step is repeated, so each can be checked alone.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce

from billing.pricing.currency import currency
from billing.pricing.instalments import split_evenly
from billing.pricing.money import EXACT, plain, round_to_minor, to_major

RUNS = "runs"
PERCENT = "%"
# Of what is only counted: dates, and places among them.
NUMBER = "number"


class Operation(enum.StrEnum):
    """What is done with the values of a step, from the left to the right. `PERCENT`: so many percent of the
    first. `LEAST`: the smallest of them. `ROUND`: to the smallest coin, half up, of a negative amount its
    magnitude. `NEGATE`: with the other sign. `SHARE`: of the first, split evenly over the second number of
    dates, what falls on the third of these; the earlier dates take the odd coins."""

    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    PERCENT = "percent"
    LEAST = "least"
    ROUND = "round"
    NEGATE = "negate"
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Value:
    """A number, its unit (`RUNS`, `PERCENT`, `NUMBER`, or a currency's code) and what it is, in words."""

    number: Decimal
    unit: str
    what: str = ""

    def to_data(self) -> dict[str, object]:
        return {"value": plain(self.number), "unit": self.unit, "what": self.what}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. `result` is what it comes to."""

    operation: Operation
    values: tuple[Value, ...]
    result: Value

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers: numbers as text, and the whole step as a sentence."""
        return {
            "operation": self.operation.value,
            "values": [each.to_data() for each in self.values],
            "result": self.result.to_data(),
            "text": text_of(self),
        }


def runs(quantity: int, what: str = "") -> Value:
    """So many task runs."""
    return Value(Decimal(quantity), RUNS, what)


def money(amount: int, code: str, what: str = "") -> Value:
    """An amount in minor units."""
    return Value(to_major(amount, code), code, what)


def step(operation: Operation, *values: Value, unit: str | None = None, what: str = "") -> Step:
    """A step with the result that the operation has; in the unit of its first value, where none is given."""
    unit = unit or values[0].unit
    return Step(operation, values, Value(_result(operation, values, unit), unit, what))


def _result(operation: Operation, values: Sequence[Value], unit: str) -> Decimal:  # noqa: PLR0911
    numbers = [each.number for each in values]
    match operation:
        case Operation.ADD:
            return reduce(EXACT.add, numbers)
        case Operation.SUBTRACT:
            return reduce(EXACT.subtract, numbers)
        case Operation.MULTIPLY:
            return reduce(EXACT.multiply, numbers)
        case Operation.PERCENT:
            return EXACT.multiply(numbers[0], EXACT.scaleb(numbers[1], -2))
        case Operation.LEAST:
            return min(numbers)
        case Operation.NEGATE:
            return EXACT.minus(numbers[0])
        case Operation.ROUND:
            return to_major(round_to_minor(numbers[0], unit), unit)
        case Operation.SHARE:
            whole, dates, place = numbers
            parts = split_evenly(round_to_minor(whole, unit), int(dates), unit)
            return to_major(parts[int(place) - 1], unit)


# In words


def text_of(each: Step) -> str:  # noqa: PLR0911 - one an operation
    """The step as a customer reads it.

    >>> of = Value(Decimal("0.0025"), "USD")
    >>> text_of(step(Operation.MULTIPLY, runs(2345), of, unit="USD"))
    '2,345 runs × 0.0025 USD = 5.8625 USD'
    """
    first, *others = (shown(value) for value in each.values)
    end = f" = {shown(each.result)}"
    match each.operation:
        case Operation.ADD:
            return f"{first}{_added(each.values[1:])}{end}" if others else _alone(first, each.result.what)
        case Operation.SUBTRACT:
            return f"{' − '.join((first, *others))}{end}"
        case Operation.MULTIPLY:
            return f"{' × '.join((first, *others))}{end}"
        case Operation.PERCENT:
            return f"{others[0]} of {first}{end}"
        case Operation.LEAST:
            if each.result.unit == RUNS:
                return f"Of {first} the bracket reaches to run {each.result.number:,.0f}"
            return f"The smaller of {first} and {others[0]}: {shown(each.result)}"
        case Operation.NEGATE:
            return f"Taken off: {shown(each.result)}"
        case Operation.ROUND:
            return f"{first}, rounded half up to {coin_text(each.result.unit)}: {shown(each.result)}"
        case Operation.SHARE:
            _, dates, place = (value.number for value in each.values)
            return f"{first} in {dates} even parts, part {place}: {shown(each.result)}"


def shown(value: Value) -> str:
    """`12,345 billable runs` · `5.8625 USD` · `225.00 USD (runs 10,001 to 100,000)` · `25%`"""
    if value.unit == RUNS:
        noun = "run" if abs(value.number) == 1 else "runs"
        return f"{value.number:,.0f} {value.what or noun}"
    if value.unit == PERCENT:
        return f"{plain(value.number)}%"
    if value.unit == NUMBER:
        return plain(value.number)
    return f"{decimal_text(value.number, value.unit)} {value.unit}{_named(value)}"


def _added(values: Sequence[Value]) -> str:
    """The values of a sum but the first; negative ones are taken off."""
    return "".join(
        f" {'−' if each.number < 0 else '+'} {shown(replace(each, number=abs(each.number)))}"
        for each in values
    )


def _alone(first: str, what: str) -> str:
    """A sum of one thing: `Billed before: 25.00 USD (invoice 2026-10-000001)`"""
    return f"{what[:1].upper()}{what[1:]}: {first}" if what else first


def _named(value: Value) -> str:
    return f" ({value.what})" if value.what else ""


def decimal_text(number: Decimal, code: str) -> str:
    """With at least the places of the currency, and no zeros after these.

    >>> decimal_text(Decimal("1350.0000"), "USD"), decimal_text(Decimal("5.8625"), "USD")
    ('1,350.00', '5.8625')
    """
    places = currency(code).places
    text = f"{number:,f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole


def coin_text(code: str) -> str:
    """The smallest amount there is: `0.01 USD`."""
    return f"{decimal_text(to_major(currency(code).step, code), code)} {code}"

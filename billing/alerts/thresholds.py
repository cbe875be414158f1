"""Which thresholds a figure has reached: pure (docs/alerts.md).

What is reached is a function of the figure alone, so it can be asked any number of times; that each is told
once is the work of whoever keeps what was told (`checking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from billing.pricing.money import format_amount

# Percent of a limit.
THRESHOLDS = (50, 80, 100)

Kind = Literal["free_runs", "budget", "commitment"]
Basis = Literal["actual", "forecast"]


@dataclass(frozen=True, slots=True)
class Figure:
    """How much of a limit is used. `period` is a month, or for a commitment the contract's id. `forecast`:
    what `actual` will be at the end of it at this pace; None where nothing is known to go by. Task runs, or
    of a budget amounts in minor units of `currency`."""

    kind: Kind
    period: str
    limit: int
    actual: int
    forecast: int | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        if self.limit <= 0:
            raise ValueError(f"a limit is positive: {self}")

    def value(self, basis: Basis) -> int | None:
        return self.actual if basis == "actual" else self.forecast

    def has_reached(self, threshold: int, basis: Basis) -> bool:
        value = self.value(basis)
        return value is not None and value * 100 >= threshold * self.limit

    def text(self, value: int) -> str:
        """A value as people read it."""
        return f"{value:,} task runs" if self.currency is None else format_amount(value, self.currency)

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers."""
        return {
            "kind": self.kind,
            "period": self.period,
            "limit": self.limit,
            "actual": self.actual,
            "forecast": self.forecast,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class Reached:
    """A threshold that a figure has reached, or will at this pace."""

    figure: Figure
    threshold: int
    basis: Basis

    @property
    def value(self) -> int:
        value = self.figure.value(self.basis)
        assert value is not None, "what is not known reaches nothing"
        return value


def reached(figure: Figure) -> list[Reached]:
    """All that the figure has reached, the lowest threshold first. A forecast is of thresholds that are still
    to come: what has happened is no longer forecast."""
    found = []
    for threshold in THRESHOLDS:
        if figure.has_reached(threshold, "actual"):
            found.append(Reached(figure, threshold, "actual"))
        elif figure.has_reached(threshold, "forecast"):
            found.append(Reached(figure, threshold, "forecast"))
    return found


def sentence(account: str, each: Reached) -> str:
    """What an alert says, in one sentence; a forecast says that it is one."""
    figure = each.figure
    if figure.kind == "free_runs":
        of, gone, end = f"the {figure.limit:,} free task runs of {figure.period}", "used", "the month"
    elif figure.kind == "budget":
        of, gone, end = f"the budget of {figure.text(figure.limit)} for {figure.period}", "used", "the month"
    else:
        of = f"the {figure.limit:,} committed task runs of contract {figure.period}"
        gone, end = "used or expired", "its term"
    counted = figure.text(figure.actual)
    if each.basis == "forecast":
        return (
            f"Forecast: at the pace of the last weeks, {each.threshold} % of {of} of {account} will be "
            f"{gone} by the end of {end}; {figure.text(each.value)} are expected, {counted} so far."
        )
    left = "" if figure.currency else f", {max(0, figure.limit - figure.actual):,} are left"
    return f"{each.threshold} % of {of} of {account} are {gone}: {counted}{left}."

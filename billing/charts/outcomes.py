"""Pictures of a backtest: revenue now and then by month, how changes are distributed, how long runs took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.charts.bars import Bar, BarChart, Series, bar_chart


def revenue(id: str, months: Sequence[Mapping[str, Any]], code: str, minor_units: int) -> str:
    """Bars of what the draft brings and marks of what is brought now, in whole major units; `minor_units` to
    the major one."""
    bars = [
        Bar(
            each["month"][5:] if len(months) > 12 else each["month"],
            each["month"],
            (each["draft_net"] // minor_units,),
            each["current_net"] // minor_units,
        )
        for each in months
    ]
    return bar_chart(
        BarChart(
            id,
            f"Revenue by month, {code}",
            "What each month brings then, and now. All figures are in the table below.",
            (Series("then", "billed"),),
            bars,
            "now",
        )
    )


def changes(id: str, bands: Sequence[tuple[str, str, int]], code: str) -> str:
    """A bar a band, in their order: its label, its name in full, and its accounts."""
    return bar_chart(
        BarChart(
            id,
            f"Accounts by change, {code}",
            "How many accounts pay so many percent less or more over all months.",
            (Series("accounts", "billed"),),
            [Bar(label, name, (accounts,)) for label, name, accounts in bands],
        )
    )


def durations(id: str, bands: Sequence[Mapping[str, Any]]) -> str:
    """A bar a band of durations, by what is billed of it now."""
    bars = [
        Bar(
            each["up_to"] or f"> {each['above']}",
            f"{each['above']} to {each['up_to']} s" if each["up_to"] else f"more than {each['above']} s",
            (
                each["completed"] if each["billable_now"] else 0,
                0 if each["billable_now"] else each["completed"],
                each["cached"],
            ),
        )
        for each in bands
    ]
    return bar_chart(
        BarChart(
            id,
            "Runs by duration",
            "How long completions took, in bands that are narrow next to the thresholds.",
            (
                Series("billed now", "billed"),
                Series("too short now", "unbilled"),
                Series("cached now", "ahead"),
            ),
            bars,
        )
    )

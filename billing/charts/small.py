"""Small pictures that stand beside a figure in a line or a table, which says what they show: for the eye
alone, and hidden from who listens."""

from __future__ import annotations

from collections.abc import Sequence

from billing.charts.marks import percent


def share(parts: Sequence[tuple[str, int]], of: int) -> str:
    """A bar across, whose parts, each with its class, are of a whole: of the largest in a table.

    >>> share([("billed", 1)], 4).count("<rect")
    1
    """
    drawn, left = [], 0
    for kind, quantity in parts:
        if quantity and of:
            drawn.append(
                f'<rect class="{kind}" x="{percent(left / of)}" width="{percent(quantity / of)}" '
                'y="0" height="10"/>'
            )
            left += quantity
    return f'<svg class="share" width="100%" height="10" aria-hidden="true">{"".join(drawn)}</svg>'


def meter(used: int, of: int, expected: int | None = None) -> str:
    """How much of a limit is used, and how much will be; what is beyond the limit fills it."""
    drawn = []
    for kind, value in (("ahead", expected), ("billed", used)):
        if value:
            drawn.append(f'<rect class="{kind}" width="{percent(min(1, value / of))}" height="12"/>')
    return f'<svg class="meter" width="100%" height="12" aria-hidden="true">{"".join(drawn)}</svg>'


def sparkline(values: Sequence[int], width: int = 96, height: int = 24) -> str:
    """A line through values at equal distances, from zero on; empty of fewer than two."""
    if len(values) < 2:
        return ""
    highest, last = max(*values, 1), len(values) - 1
    points = " ".join(
        f"{1 + (width - 4) * number / last:.1f},{height - 2 - (height - 4) * value / highest:.1f}"
        for number, value in enumerate(values)
    )
    x, y = points.rsplit(" ", 1)[1].split(",")
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'aria-hidden="true"><polyline points="{points}"/><circle cx="{x}" cy="{y}" r="2"/></svg>'
    )

"""Small pictures that stand beside a figure in a line or a table. Those whose figure says what they show are
for the eye alone, and hidden from who listens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

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


def trend(values: Sequence[int], label: str, height: int = 22) -> str:
    """Bars beside one another, the last of them of now; the highest fills the height, and what is not nothing
    is seen. It stands for itself: `label` is what somebody hears who does not see it.

    >>> trend([0, 1, 100], "").count("<rect")
    3
    """
    most, width = max(values, default=0) or 1, 9 * len(values) - 2
    drawn = []
    for number, value in enumerate(values):
        tall = max(2, round(height * value / most)) if value else 0
        kind = ' class="now"' if number == len(values) - 1 else ""
        drawn.append(f'<rect x="{number * 9}" y="{height - tall}" width="7" height="{tall}"{kind}></rect>')
    return (
        f'<svg class="trend" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(drawn)}</svg>'
    )

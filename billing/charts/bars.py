"""Bars over time: of each hour, day or month what there was, in parts above one another, with a mark for what
there was before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from billing.charts.marks import percent, scale, short, text

_TOP, _HEIGHT, _BELOW = 14, 190, 24
_FLOOR = _TOP + _HEIGHT
# The part of a bar's place that is left free at either side.
_GAP = 0.14
# So many labels fit below on a desk, and on a phone.
_MOST_LABELS, _FEW_LABELS = 31, 8


@dataclass(frozen=True, slots=True)
class Series:
    """One part of every bar, from below: its name in the legend, and its class."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Bar:
    """`label` stands below, `name` says in full what the bar is of. `parts` has a quantity of each series.
    `mark` is what there was in the period before; None: there is nothing to compare with."""

    label: str
    name: str
    parts: tuple[int, ...]
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class BarChart:
    """`id` is unlike that of any other picture on the page. `title` and `description` are what somebody hears
    who does not see it. `marks` names what the marks are, in the legend; empty where there are none."""

    id: str
    title: str
    description: str
    series: tuple[Series, ...]
    bars: Sequence[Bar]
    marks: str = ""

    def __post_init__(self) -> None:
        if any(len(bar.parts) != len(self.series) or min(bar.parts, default=0) < 0 for bar in self.bars):
            raise ValueError("a bar has a quantity, of zero or more, of each series")


def bar_chart(chart: BarChart) -> str:
    """The chart and its legend, as HTML. What a bar holds is shown where the pointer rests on it."""
    highest = max((max(sum(bar.parts), bar.mark or 0) for bar in chart.bars), default=0)
    ceiling, step = scale(highest)
    lines = range(0, ceiling + 1, step)
    height = _FLOOR + _BELOW
    parts = [
        f'<figure class="chart" id="{chart.id}">',
        _legend(chart),
        '<div class="plot">',
        f'<svg class="scale" width="46" height="{height}" aria-hidden="true">',
        *(text("40", _y(each, ceiling) + 4, short(each), anchor="end") for each in lines),
        "</svg>",
        f'<svg class="bars" width="100%" height="{height}" role="img" '
        f'aria-labelledby="{chart.id}-title" aria-describedby="{chart.id}-description">',
        f'<title id="{chart.id}-title">{escape(chart.title)}</title>',
        f'<desc id="{chart.id}-description">{escape(chart.description)}</desc>',
        *(
            f'<line class="{"grid" if each else "axis"}" x1="0" x2="100%" '
            f'y1="{_y(each, ceiling):.1f}" y2="{_y(each, ceiling):.1f}"/>'
            for each in lines
        ),
        *_bars(chart, ceiling),
        "</svg></div></figure>",
    ]
    return "".join(parts)


def _legend(chart: BarChart) -> str:
    keys = [(series.kind, series.name) for series in chart.series]
    if chart.marks:
        keys.append(("mark", chart.marks))
    items = "".join(
        f'<li><svg width="14" height="12" aria-hidden="true">{_key(kind)}</svg> {escape(name)}</li>'
        for kind, name in keys
    )
    return f'<figcaption><ul class="legend">{items}</ul></figcaption>'


def _key(kind: str) -> str:
    if kind == "mark":
        return '<line class="mark" x1="0" x2="14" y1="6" y2="6"/>'
    return f'<rect class="{kind}" x="1" y="1" width="12" height="10"/>'


def _bars(chart: BarChart, ceiling: int) -> Iterator[str]:
    wide = 1 / max(1, len(chart.bars))
    some = -(-len(chart.bars) // _MOST_LABELS) or 1
    few = -(-len(chart.bars) // _FEW_LABELS) or 1
    for number, bar in enumerate(chart.bars):
        left = number * wide
        yield f'<g class="slot"><title>{escape(_says(chart, bar))}</title>'
        yield f'<rect class="hit" x="{percent(left)}" y="0" width="{percent(wide)}" height="{_FLOOR}"/>'
        below = 0
        for series, quantity in zip(chart.series, bar.parts, strict=True):
            if quantity:
                top, floor = _y(below + quantity, ceiling), _y(below, ceiling)
                # What is there is seen, however little it is.
                yield (
                    f'<rect class="{series.kind}" x="{percent(left + wide * _GAP)}" '
                    f'width="{percent(wide * (1 - 2 * _GAP))}" y="{min(top, floor - 1):.1f}" '
                    f'height="{max(floor - top, 1):.1f}"/>'
                )
                below += quantity
        if bar.mark is not None:
            y = f"{_y(bar.mark, ceiling):.1f}"
            x1, x2 = percent(left + wide * 0.04), percent(left + wide * 0.96)
            yield f'<line class="mark" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>'
        if number % some == 0:
            kind = "label" if number % few == 0 else "label wideonly"
            yield text(percent(left + wide / 2), _FLOOR + 17, bar.label, kind=kind, anchor="middle")
        yield "</g>"


def _says(chart: BarChart, bar: Bar) -> str:
    said = [f"{series.name} {part:,}" for series, part in zip(chart.series, bar.parts, strict=True)]
    if bar.mark is not None and chart.marks:
        said.append(f"{chart.marks}: {bar.mark:,}")
    return f"{bar.name}: {', '.join(said)}"


def _y(quantity: int, ceiling: int) -> float:
    return _FLOOR - _HEIGHT * quantity / ceiling

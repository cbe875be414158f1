"""The picture of a contract's report: how the balance burns down, and each month's runs below, as inline SVG.

Our own few shapes: no script, no library, no reference to anything outside. Colours are the page's, by class
(`templates/contract_report.html`). Positions are in the units of the view box; quantities are runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from html import escape
from itertools import accumulate, pairwise

from billing.charts.marks import scale, short, text
from billing.pricing.drawdown import Drawdown
from billing.pricing.run_ledger import EntryKind, truth
from billing.reporting.contract_report import ContractReport
from billing.reporting.contract_text import long_day, month_name, runs_text, short_day

WIDTH, NARROW = 760, 360
_TOP, _FLOOR = 46, 238  # the balance
_BAR_TOP, _BAR_FLOOR = 284, 356  # the runs of each month
_HEIGHT = 378
_LETTER = 6.2  # the width of one, by and large: enough to keep texts apart
_MONTH_NAME = 49  # the place that a month's name takes
_DAY = timedelta(days=1)


def burn_down(report: ContractReport, *, width: int = WIDTH, name: str = "chart") -> str:
    """The `<svg>` element. What it shows is said in words in its title and description. A page for phones has
    a narrow one too, whose letters are as large there; `name` is unlike that of any other picture on it."""
    title = f"Balance of contract {report.contract.id} from {long_day(report.contract.start)} on"
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-description">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-description">{escape(_description(report))}</desc>',
        *_Picture(report, width).elements(),
        "</svg>",
    ]
    return "\n".join(parts)


def _description(report: ContractReport) -> str:
    said = [
        f"As of {long_day(report.as_of)}, {runs_text(report.remaining)} of {report.committed:,} committed "
        "are left."
    ]
    if report.runs_out_on is not None:
        verb = "ran out" if report.runs_out_on <= report.as_of else "runs out, at the present pace,"
        said.append(f"The balance {verb} on {long_day(report.runs_out_on)}.")
    if report.on_demand:
        said.append(f"{runs_text(report.on_demand)} so far on demand.")
    said.append("The table of months has the figures.")
    return " ".join(said)


class _Picture:
    """The scales, and what is drawn on them."""

    def __init__(self, report: ContractReport, width: int) -> None:
        self.wide = width >= WIDTH
        self.left, self.right = (58, width - 16) if self.wide else (40, width - 4)
        self.report = report
        self.contract = report.contract
        self.until = report.projection.until
        self.span = (self.contract.end - self.contract.start).days
        self.known = _corners(report, report.projection.expected, self.contract.start, self.until)
        ahead = self.until + _DAY
        self.expected, self.less, self.more = (
            _corners(report, drawdown, ahead, self.contract.end - _DAY)
            for drawdown in (
                report.projection.expected,
                report.projection.less,
                report.projection.more,
            )
        )
        shown = [*self.known, *self.expected, *self.less, *self.more]
        self.ceiling, self.step = scale(max((balance for _, balance in shown), default=0))
        self.bars, self.bar_step = scale(max((row.billable for row in report.months), default=0), lines=2)

    def elements(self) -> Iterator[str]:
        yield from self._legend()
        yield from self._grid()
        if self._ahead and self.less != self.more:
            # Using more leaves less: the area between the two is where the balance will probably be.
            area = [*self.less, *reversed(self.more)]
            yield f'<polygon class="band" points="{self._points(area)}"/>'
        if self._ahead:
            yield f'<polyline class="ahead" points="{self._points(self.expected)}"/>'
        if self.known:
            yield f'<polyline class="balance" points="{self._points(self.known)}"/>'
        yield from self._grants()
        yield from self._expiries()
        yield from self._as_of()
        yield from self._runs_out()
        yield from self._months()

    @property
    def _ahead(self) -> bool:
        """Whether there is a balance to come, and a pace to estimate it by."""
        return bool(self.report.pace.counts) and any(balance for _, balance in self.expected)

    def _x(self, day: date) -> float:
        return self.left + (self.right - self.left) * (day - self.contract.start).days / self.span

    def _y(self, balance: int) -> float:
        return _FLOOR - (_FLOOR - _TOP) * balance / self.ceiling

    def _points(self, corners: list[tuple[date, int]]) -> str:
        return " ".join(f"{self._x(day):.1f},{self._y(balance):.1f}" for day, balance in corners)

    def _legend(self) -> Iterator[str]:
        keys = [("balance", "balance")]
        if self._ahead:
            keys.append(("ahead", "at the present pace"))
            if self.less != self.more:
                keys.append(("band", "4 times of 5"))
        keys += [("drawn", "drawn"), ("on-demand", "on demand")]
        x, y = float(self.left), 12
        for name, says in keys:
            width = 40 + _LETTER * len(says)
            if x + width > self.right + 17:
                x, y = float(self.left), y + 15
            if name in ("balance", "ahead"):
                yield f'<line class="{name}" x1="{x:.1f}" y1="{y}" x2="{x + 18:.1f}" y2="{y}"/>'
            else:
                yield f'<rect class="{name}" x="{x + 4:.1f}" y="{y - 5}" width="12" height="10"/>'
            yield self._text(x + 23, y + 4, says)
            x += width

    def _grid(self) -> Iterator[str]:
        for balance in range(0, self.ceiling + 1, self.step):
            y = self._y(balance)
            yield f'<line class="{"grid" if balance else "axis"}" {self._across(y)}/>'
            yield self._text(self.left - 6, y + 4, short(balance), "end")
        months = self.contract.months
        every = -(-len(months) * _MONTH_NAME // (self.right - self.left)) or 1
        for place, month in enumerate(months[::every]):
            first = date(month.year, month.number, 1)
            x = self._x(first)
            yield f'<line class="tick" x1="{x:.1f}" y1="{_FLOOR}" x2="{x:.1f}" y2="{_FLOOR + 4}"/>'
            with_year = place == 0 or month.number <= every
            name = month_name(month)[:3]
            for y in (_FLOOR + 17, _BAR_FLOOR + 16):
                yield self._text(x + 2, y, self._with_year(place, name, month.year) if with_year else name)

    def _grants(self) -> Iterator[str]:
        """What each grant added, at its step; where two would overlap, the later one goes below."""
        ends = [0.0, 0.0, 0.0]
        for grant in sorted(self.contract.grants, key=lambda grant: grant.granted_on):
            says = f"+{short(grant.runs)} ({grant.id})"
            x, width = self._x(grant.granted_on) + 4, _LETTER * len(says)
            if x + width > self.right:
                x = self.right - width
            row = next((row for row, end in enumerate(ends) if end <= x), None)
            if row is not None:
                ends[row] = x + width + 6
                yield self._text(x, _TOP - 4 + 13 * row, says, "start", "note")

    def _expiries(self) -> Iterator[str]:
        """What expires, or will at the pace, of grants that end before the term does."""
        if not self.report.pace.counts:
            return
        highest: dict[date, int] = {}
        for day, balance in (*self.known, *self.expected):
            highest[day] = max(balance, highest.get(day, 0))
        for grant in self.contract.grants:
            left = self.report.projection.expected.left[grant.id]
            if left and grant.expires_on in highest:
                y = self._y(highest[grant.expires_on]) + 14
                verb = "expired" if grant.expires_on <= self.report.as_of else "expire"
                yield self._beside(self._x(grant.expires_on), y, f"{short(left)} {verb} ({grant.id})", "note")

    def _as_of(self) -> Iterator[str]:
        day = self.report.as_of
        if self.contract.start <= day < self.contract.end - _DAY:
            x = self._x(day + _DAY)
            yield f'<line class="as-of" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_BAR_FLOOR}"/>'
            yield self._beside(x, _BAR_TOP - 12, f"as of {short_day(day)}", "note")

    def _runs_out(self) -> Iterator[str]:
        report = self.report
        if report.runs_out_on is None or report.runs_out_range is None:
            return
        early, late = (self._x(day) for day in report.runs_out_range)
        if late - early > 1:
            # The bar of an error: its ends are the edges of the range.
            top = _FLOOR - 5
            line = f"M{early:.1f} {top}v10M{early:.1f} {_FLOOR}H{late:.1f}M{late:.1f} {top}v10"
            yield f'<path class="range" d="{line}"/>'
        x = self._x(report.runs_out_on)
        past = report.runs_out_on <= report.as_of
        yield f'<line class="runs-out" x1="{x:.1f}" y1="{_TOP + 42}" x2="{x:.1f}" y2="{_FLOOR}"/>'
        verb = "ran out" if past else "runs out"
        yield self._beside(x, _TOP + 52, f"{verb} {short_day(report.runs_out_on)}", "warning")

    def _months(self) -> Iterator[str]:
        for runs in range(0, self.bars + 1, self.bar_step):
            y = self._bar_y(runs)
            yield f'<line class="{"grid" if runs else "axis"}" {self._across(y)}/>'
            yield self._text(self.left - 6, y + 4, short(runs), "end")
        for row in self.report.months:
            first = date(row.month.year, row.month.number, 1)
            following = row.month.next()
            x, end = self._x(first), self._x(date(following.year, following.number, 1))
            gap = (end - x) * 0.12
            for name, low, high in (
                ("drawn", 0, row.drawn),
                ("on-demand", row.drawn, row.billable),
            ):
                if high > low:
                    top, floor = self._bar_y(high), self._bar_y(low)
                    yield (
                        f'<rect class="{name}" x="{x + gap:.1f}" y="{top:.1f}" '
                        f'width="{end - x - 2 * gap:.1f}" height="{max(floor - top, 1):.1f}"/>'
                    )

    def _bar_y(self, runs: int) -> float:
        return _BAR_FLOOR - (_BAR_FLOOR - _BAR_TOP) * runs / self.bars

    def _with_year(self, place: int, name: str, year: int) -> str:
        """Where there is little room, a year that begins has its number alone."""
        return f"{name} {year}" if self.wide or not place else str(year)

    def _across(self, y: float) -> str:
        return f'x1="{self.left}" y1="{y:.1f}" x2="{self.right}" y2="{y:.1f}"'

    def _beside(self, x: float, y: float, says: str, kind: str) -> str:
        """To the right of a line, or to its left where there is no room."""
        if x + 8 + _LETTER * len(says) > self.right:
            return self._text(x - 5, y, says, "end", kind)
        return self._text(x + 5, y, says, "start", kind)

    @staticmethod
    def _text(x: float, y: float, says: str, anchor: str = "start", kind: str = "label") -> str:
        return text(f"{x:.1f}", y, says, kind=kind, anchor=anchor)


def _corners(report: ContractReport, drawdown: Drawdown, first: date, last: date) -> list[tuple[date, int]]:
    """The balance from the beginning of `first` to the end of `last`: on a day it steps as grants begin and
    expire, and slopes as runs are drawn. A day's corner lies at its end, where the next day begins."""
    if last < first:
        return []
    steps: dict[date, int] = {}
    slopes: dict[date, int] = {}
    before = 0
    for place, quantity in truth(report.contract.grants, drawdown, last).items():
        if place.effective_on < first:
            before += quantity
        else:
            found = slopes if place.purpose is EntryKind.USAGE else steps
            found[place.effective_on] = found.get(place.effective_on, 0) + quantity
    corners = [(first, before)]
    days = [first + number * _DAY for number in range((last - first).days + 1)]
    for day, after in zip(days, _running(days, steps, slopes, before), strict=True):
        if day in steps:
            corners.append((day, after - slopes.get(day, 0)))
        corners.append((day + _DAY, after))
    return _without_the_middle_of_lines(corners)


def _running(
    days: list[date], steps: Mapping[date, int], slopes: Mapping[date, int], before: int
) -> Iterator[int]:
    changes = (steps.get(day, 0) + slopes.get(day, 0) for day in days)
    return iter(list(accumulate(changes, initial=before))[1:])


def _without_the_middle_of_lines(corners: list[tuple[date, int]]) -> list[tuple[date, int]]:
    """A corner on the line between its neighbours says nothing: quiet weeks are one line."""
    kept = corners[:1]
    for corner, following in pairwise(corners[1:]):
        (day_0, y_0), (day_1, y_1), (day_2, y_2) = kept[-1], corner, following
        if (y_1 - y_0) * (day_2 - day_1).days != (y_2 - y_1) * (day_1 - day_0).days or day_0 == day_1:
            kept.append(corner)
    return [*kept, *corners[1:][-1:]]

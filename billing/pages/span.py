"""The stretch of time that a page of usage shows: a day by the hour, a month by the day, a year by the month;
and what each is compared with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from billing.errors import Invalid
from billing.pricing.days import is_day, parse_day
from billing.reporting.contract_text import long_day, month_name
from metering.period import DAY_US, HOUR_US, Month, day_of, day_start, to_datetime
from metering.usage import WindowSize

Kind = Literal["day", "month", "year"]
_WINDOW: Mapping[Kind, WindowSize] = {"day": "hour", "month": "day", "year": "month"}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FIRST_YEAR, _LAST_YEAR = 2000, 9997


@dataclass(frozen=True, slots=True)
class Span:
    """`first` is the first day of a day, month or year."""

    kind: Kind
    first: date

    @property
    def by(self) -> WindowSize:
        """The size of the windows that it is shown in."""
        return _WINDOW[self.kind]

    @property
    def start(self) -> int:
        return day_start(self.first)

    @property
    def end(self) -> int:
        return self.following.start

    @property
    def following(self) -> Span:
        return self._moved(+1)

    @property
    def previous(self) -> Span:
        return self._moved(-1)

    @property
    def compared(self) -> Span:
        """What it is compared with: the month or the year before, and of a day that of a week ago."""
        return Span("day", self.first - timedelta(7)) if self.kind == "day" else self.previous

    @property
    def windows(self) -> list[int]:
        """The start of each window."""
        if self.kind == "year":
            return [Month(self.first.year, number).start for number in range(1, 13)]
        width = HOUR_US if self.kind == "day" else DAY_US
        return list(range(self.start, self.end, width))

    @property
    def name(self) -> str:
        """`3 October 2026`, `October 2026`, `2026`"""
        if self.kind == "day":
            return long_day(self.first)
        if self.kind == "month":
            return f"{month_name(self.month)} {self.first.year}"
        return str(self.first.year)

    @property
    def month(self) -> Month:
        return Month(self.first.year, self.first.month)

    @property
    def query(self) -> str:
        """What follows the address of a page that shows it: `month=2026-10`"""
        length = {"day": 10, "month": 7, "year": 4}[self.kind]
        return f"{self.kind}={self.first.isoformat()[:length]}"

    def window_label(self, start: int) -> str:
        """Of a window, short: `14`, `3`, `Oct`"""
        if self.kind == "year":
            return month_name(Month.of(start))[:3]
        moment = to_datetime(start)
        return str(moment.hour if self.kind == "day" else moment.day)

    def window_name(self, start: int) -> str:
        """Of a window, in full: `14:00 to 15:00`, `Sat 3 Oct`, `October 2026`"""
        if self.kind == "year":
            return Span("month", day_of(start)).name
        if self.kind == "month":
            day = day_of(start)
            return f"{_WEEKDAYS[day.weekday()]} {day.day} {month_name(self.month)[:3]}"
        hour = to_datetime(start).hour
        return f"{hour:02d}:00 to {hour + 1:02d}:00"

    def within(self, start: int) -> Span | None:
        """The span that a window is; None of an hour."""
        if self.kind == "day":
            return None
        return Span("month" if self.kind == "year" else "day", day_of(start))

    def as_kind(self, kind: Kind, today: date) -> Span:
        """Another span about the same time: today where that is within."""
        inside = today if self.first <= today < self.following.first else self.first
        return span_of(kind, inside)

    def _moved(self, by: int) -> Span:
        if self.kind == "day":
            return Span("day", self.first + timedelta(by))
        if self.kind == "month":
            other = self.month.next() if by > 0 else self.month.previous()
            return Span("month", date(other.year, other.number, 1))
        return Span("year", date(self.first.year + by, 1, 1))


def span_of(kind: Kind, day: date) -> Span:
    """The one that holds a day."""
    if kind == "month":
        day = day.replace(day=1)
    return Span(kind, day.replace(month=1, day=1) if kind == "year" else day)


def read_span(asked: Mapping[str, str], today: date) -> Span:
    """From the parameters of an address, `day`, `month` or `year`; the month of today where there is none.
    Raises Invalid."""
    given = {name: asked[name] for name in ("day", "month", "year") if asked.get(name)}
    if len(given) > 1:
        raise Invalid("give a day, a month or a year, and not several", field="month")
    for name, text in given.items():
        try:
            if name == "day":
                return Span("day", _sound(parse_day(text)))
            if name == "month":
                month = Month.parse(text)
                return Span("month", _sound(date(month.year, month.number, 1)))
            if not (text.isascii() and text.isdecimal() and len(text) == 4):
                raise ValueError(f"{text[:40]!r} is not a year; write it as YYYY, for example 2026")
            return Span("year", _sound(date(max(1, int(text)), 1, 1)))
        except ValueError as error:
            raise Invalid(str(error), field=name) from None
    return span_of("month", today)


def _sound(day: date) -> date:
    if not is_day(day) or not _FIRST_YEAR < day.year < _LAST_YEAR:
        raise ValueError(f"there is no usage of {day.year}; give a year after {_FIRST_YEAR}")
    return day

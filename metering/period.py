"""Instants, hours and months, all in UTC (docs/rules.md §2, Time).

An *instant* is an `int`: microseconds since 1970-01-01T00:00:00Z. Integers compare, store and sort the
same way everywhere, and have no time zone to forget. A *period* is half-open: `[start, end)`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
# RFC 3339: a date, a time to the second, an optional fraction, and always an offset.
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
).fullmatch

# There is a year 0 for numpy, and none for `parse_instant`.
_YEAR_1 = "0001"

# The shape of an instant is its text with a nine for every digit.
_TO_NINES = bytes.maketrans(b"012345678", b"999999999")
_PLAIN_SHAPES = frozenset(
    b"9999-99-99T99:99:99" + fraction + b"Z"
    for fraction in (b"", *(b"." + b"9" * digits for digits in range(1, 7)))
)


def _microseconds(since: timedelta) -> int:
    return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds


# What a datetime in UTC can say; an instant with an offset may lie beyond.
FIRST_INSTANT = _microseconds(datetime.min.replace(tzinfo=UTC) - _EPOCH)
LAST_INSTANT = _microseconds(datetime.max.replace(tzinfo=UTC) - _EPOCH)


def to_instant(moment: datetime) -> int:
    """Microseconds since the epoch of an aware `moment`. Raises ValueError without an offset."""
    if moment.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return _microseconds(moment - _EPOCH)


def to_datetime(instant: int) -> datetime:
    """The UTC datetime of an instant between the years 1 and 9999."""
    return _EPOCH + timedelta(microseconds=instant)


def parse_instant(text: str) -> int:
    """Read an RFC 3339 instant; digits finer than a microsecond are cut off (docs/rules.md §2).

    Raises ValueError with a sentence fit for a user, e.g. for a missing offset or 30 February.

    >>> parse_instant("1970-01-01T00:00:01.2345678+00:00")
    1234567
    """
    if _RFC3339(text) is None:
        if _RFC3339(text + "Z") is not None:
            raise ValueError("has no offset; end it with Z for UTC, or with an offset such as +02:00")
        raise ValueError("is not an RFC 3339 instant such as 2026-10-03T02:00:00Z")
    try:
        since = datetime.fromisoformat(text.upper()) - _EPOCH
    except ValueError:
        raise ValueError("is not a real instant; check its day, its time and its offset") from None
    return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds


def parse_instants(texts: Sequence[str]) -> list[int]:
    """Each text as `parse_instant` reads it, in a quarter of the time where all of them are plain: in UTC,
    with a fraction of at most six digits or none.

    >>> parse_instants(["1970-01-01T00:00:01Z", "1970-01-01T00:00:01.25Z"])
    [1000000, 1250000]
    """
    together = "\n".join(texts)
    shapes = together.encode("utf-8", "replace").translate(_TO_NINES).split(b"\n")
    if len(shapes) != len(texts) or not _PLAIN_SHAPES.issuperset(shapes) or min(texts) < _YEAR_1:
        return [parse_instant(text) for text in texts]
    # It takes a tenth of a second to import, which a command that reads no events should not wait for.
    import numpy as np

    try:
        instants = np.array(together.replace("Z", "").split("\n"), dtype="datetime64[us]")
    except ValueError:
        raise ValueError("is not a real instant; check its day, its time and its offset") from None
    return instants.astype(np.int64).tolist()  # type: ignore[no-any-return]


def parse_bound(text: str) -> int:
    """Read the start or end of a period that somebody asks about: an instant that can be said in UTC, too.
    Raises ValueError as `parse_instant` does."""
    instant = parse_instant(text)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise ValueError("lies outside of the years 1 to 9999 in UTC")
    return instant


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC; the fraction only where there is one.

    >>> format_instant(0), format_instant(1_250_000)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.250000Z')
    """
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def format_optional(instant: int | None) -> str | None:
    """The same of what may not have happened: None then."""
    return None if instant is None else format_instant(instant)


def hour_of(instant: int) -> int:
    """The number of the hour since the epoch: hours are compared and stored as integers."""
    return instant // HOUR_US


def day_of(instant: int) -> date:
    """The day, in UTC, that holds an instant.

    >>> day_of(DAY_US - 1), day_of(DAY_US)
    (datetime.date(1970, 1, 1), datetime.date(1970, 1, 2))
    """
    return to_datetime(instant).date()


def day_start(day: date) -> int:
    """The instant at which a day begins."""
    return to_instant(datetime(day.year, day.month, day.day, tzinfo=UTC))


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC: `[first day 00:00, first day of the next month 00:00)`."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read `YYYY-MM`. Raises ValueError with a sentence fit for a user.

        >>> str(Month.parse("2024-02").next())
        '2024-03'
        """
        match = _MONTH.fullmatch(text)
        if match is None or not "2000" <= match[1] <= "9998":
            raise ValueError(f"{text!r} is not a month; write it as YYYY-MM, for example 2026-10")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, instant: int) -> Month:
        """The month that holds an instant."""
        moment = to_datetime(instant)
        return cls(moment.year, moment.month)

    @property
    def start(self) -> int:
        return to_instant(datetime(self.year, self.number, 1, tzinfo=UTC))

    @property
    def end(self) -> int:
        return self.next().start

    @property
    def last_day(self) -> date:
        return day_of(self.end - 1)

    def to_data(self) -> dict[str, str]:
        """As a period in the shape of JSON answers."""
        return {"start": format_instant(self.start), "end": format_instant(self.end)}

    def next(self) -> Month:
        return Month(self.year + 1, 1) if self.number == 12 else Month(self.year, self.number + 1)

    def previous(self) -> Month:
        return Month(self.year - 1, 12) if self.number == 1 else Month(self.year, self.number - 1)

    def __lt__(self, other: Month) -> bool:
        return (self.year, self.number) < (other.year, other.number)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

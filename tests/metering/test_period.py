"""Instants and months: exact, in UTC, half-open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from metering.period import (
    DAY_US,
    HOUR_US,
    LAST_INSTANT,
    Month,
    format_instant,
    hour_of,
    parse_bound,
    parse_instant,
    to_datetime,
    to_instant,
)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1_000_000),
        ("1970-01-01 00:00:01.5Z", 1_500_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("1970-01-01T00:00:00.0000019Z", 1),
        ("1970-01-01T00:00:00.99999999999999999999Z", 999_999),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_instants_are_read_to_the_microsecond_and_cut(text: str, instant: int) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_time_do_not_crash(text: str) -> None:
    assert isinstance(parse_instant(text), int)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-10-03T02:00:00", "has no offset"),
        ("2026-10-03", "not an RFC 3339 instant"),
        ("20261003T020000Z", "not an RFC 3339 instant"),
        ("2026-W40-6T02:00:00Z", "not an RFC 3339 instant"),
        ("2026-10-03T02:00:00,5Z", "not an RFC 3339 instant"),
        ("2026-10-03T02:00Z", "not an RFC 3339 instant"),
        ("2026-10-03T02:00:00+0200", "not an RFC 3339 instant"),
        (" 2026-10-03T02:00:00Z", "not an RFC 3339 instant"),
        ("2026-10-03T02:00:00Z\n", "not an RFC 3339 instant"),
        ("", "not an RFC 3339 instant"),
        ("2026-02-29T00:00:00Z", "not a real instant"),
        ("2026-10-03T25:00:00Z", "not a real instant"),
        ("2026-10-03T02:00:00+24:00", "not a real instant"),
    ],
)
def test_what_is_no_instant_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_instant(text)


def test_format_is_the_inverse_of_parse() -> None:
    for text in ("2026-10-03T02:00:04.250000Z", "2000-02-29T23:59:59Z", "0001-01-01T00:00:00Z"):
        assert format_instant(parse_instant(text)) == text


def test_datetimes_need_an_offset_and_may_have_any() -> None:
    moment = datetime(2026, 10, 3, 2, tzinfo=UTC)
    assert to_datetime(to_instant(moment)) == moment
    assert to_instant(moment.astimezone(timezone(timedelta(hours=-7)))) == to_instant(moment)
    with pytest.raises(ValueError, match="offset"):
        to_instant(datetime(2026, 10, 3))  # noqa: DTZ001


def test_an_hour_begins_at_its_first_microsecond() -> None:
    assert [hour_of(instant) for instant in (-1, 0, HOUR_US - 1, HOUR_US)] == [-1, 0, 0, 1]


@pytest.mark.parametrize(
    ("month", "days"), [("2024-02", 29), ("2026-02", 28), ("2000-02", 29), ("2100-02", 28), ("2026-12", 31)]
)
def test_a_month_is_half_open_and_leap_years_are_right(month: str, days: int) -> None:
    held = Month.parse(month)
    assert held.end - held.start == days * DAY_US
    assert held.end == held.next().start
    assert Month.of(held.start) == Month.of(held.end - 1) == held
    assert Month.of(held.end) == held.next()
    assert held.next().previous() == held


def test_months_are_in_order_and_written_as_they_are_read() -> None:
    texts = ["2025-12", "2026-01", "2026-02", "2026-11"]
    assert [str(month) for month in sorted(map(Month.parse, reversed(texts)))] == texts


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "1999-12", "9999-01", "2026-10-01", "", "٢٠٢٦-10"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="YYYY-MM"):
        Month.parse(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:00:00-05:00"])
def test_a_bound_of_a_period_can_be_said_in_utc(text: str) -> None:
    with pytest.raises(ValueError, match="lies outside of the years 1 to 9999 in UTC"):
        parse_bound(text)
    assert parse_bound("9999-12-31T23:00:00Z") == LAST_INSTANT - 3600 * 1_000_000 + 1

"""Days as they are written."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from billing.pricing.days import is_day, parse_day


@pytest.mark.parametrize("text", ["2000-01-01", "2026-02-28", "2028-02-29", "9998-12-31"])
def test_a_day_is_read(text: str) -> None:
    assert parse_day(text) == date.fromisoformat(text)


@pytest.mark.parametrize(
    "text", ["1999-12-31", "9999-01-01", "2026-02-29", "20260228", "2026-W01-1", "", "26-02-28", "٢٠٢٦-02-28"]
)
def test_what_is_no_day_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text!r} is not a date; write it as YYYY-MM-DD, for example 2026"):
        parse_day(text)


def test_a_long_text_is_told_in_part() -> None:
    with pytest.raises(ValueError, match=f"^'{'x' * 40}' is not"):
        parse_day("x" * 41)


def test_a_moment_is_no_day() -> None:
    assert not is_day(datetime(2026, 2, 28))  # noqa: DTZ001
    assert not is_day("2026-02-28")

"""Passes over events: whatever is late, cut short or told by a clock that is wrong, nothing is skipped."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from metering.collecting.completeness import DAYS, bounds, counted_span, days_of
from metering.collecting.reading import (
    BACK_US,
    LAG_US,
    SLICE_US,
    Reading,
    Span,
    advance,
    begin,
    latest,
    spans_around,
)
from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US

START = 1_000 * DAY_US
RETENTION = 7 * DAY_US

instants = st.integers(0, 40 * DAY_US).map(lambda offset: START + offset)


@dataclass
class Server:
    """What occurred, and when the server had it. A pass is read in pages of three, and may be cut short after
    any of them."""

    events: list[tuple[int, int]]
    seen: set[tuple[int, int]] = field(default_factory=set)

    def read(self, reading: Reading, now: int, pages: int) -> Reading:
        while reading.under_way is not None:
            part = reading.under_way.slice()
            assert part.end - part.start <= SLICE_US
            there = sorted(
                each for each in self.events if part.start <= each[0] <= part.end and each[1] <= now
            )
            while True:
                if pages == 0:
                    return reading
                pages -= 1
                page, there = there[:3], there[2:]
                self.seen.update(page)
                if len(page) < 3:
                    reading = advance(reading, part.end)
                    break
                reading = advance(reading, page[-1][0])
                if reading.under_way is None:
                    break
        return reading


lateness = st.one_of(st.integers(0, 5 * SECOND_US), st.integers(0, 24 * HOUR_US))
events = st.lists(
    st.tuples(st.integers(0, 3 * DAY_US), lateness).map(lambda each: (START + each[0], START + sum(each))),
    max_size=30,
)
polls = st.lists(
    st.tuples(st.integers(SECOND_US, 30 * HOUR_US), st.one_of(st.none(), st.integers(0, 6))), max_size=25
)


@given(events, polls)
def test_what_is_late_by_less_than_a_day_is_read_all_the_same(
    given_events: list[tuple[int, int]], schedule: list[tuple[int, int | None]]
) -> None:
    """Polls at any times, each cut short after some pages or not; then two more, a day apart."""
    server = Server(given_events)
    reading, now = Reading(START), START
    for pause, pages in [*schedule, (6 * DAY_US, None), (DAY_US, None)]:
        now += pause
        until = latest(now, None)
        before = reading
        reading = begin(reading, until, 3650 * DAY_US).reading
        reading = server.read(reading, now, 10_000 if pages is None else pages)
        assert reading.read_to is None or reading.read_to <= max(until, before.read_to or 0)
        assert before.read_to is None or (reading.read_to or 0) >= before.read_to
    assert server.seen == set(given_events)


@given(events, polls, st.integers(-3 * HOUR_US, 3 * HOUR_US))
def test_of_two_clocks_the_earlier_one_is_believed(
    given_events: list[tuple[int, int]], schedule: list[tuple[int, int | None]], ahead: int
) -> None:
    """Our clock is wrong by hours: nothing is asked for that the server cannot have yet, and nothing is
    skipped."""
    server = Server(given_events)
    reading, now = Reading(START - DAY_US), START
    for pause, pages in [*schedule, (6 * DAY_US, None), (DAY_US, None)]:
        now += pause
        until = latest(now + ahead, now)
        assert until <= now - LAG_US
        reading = begin(reading, until, 3650 * DAY_US).reading
        reading = server.read(reading, now, 10_000 if pages is None else pages)
    assert server.seen == set(given_events)


@given(st.one_of(st.none(), instants), instants, st.integers(DAY_US, 30 * DAY_US))
def test_a_pass_covers_all_since_the_cursor_or_says_what_is_lost(
    read_to: int | None, until: int, retention_us: int
) -> None:
    reading = Reading(START, read_to)
    begun, lost = begin(reading, until, retention_us)
    start = START if read_to is None else read_to
    if begun.under_way is None:
        assert until <= start
        return
    assert begun.under_way.end == until
    assert START <= begun.under_way.at <= max(START, start)
    assert (lost is not None) == (start < until - retention_us)
    assert lost is None or lost == (start, until - retention_us)


@given(instants, st.integers(MINUTE_US, 20 * DAY_US))
def test_a_cursor_from_the_future_comes_back_and_days_are_read_again(until: int, ahead: int) -> None:
    reading = Reading(START, until + ahead, None, until, until)
    begun = begin(reading, until, RETENTION).reading
    if ahead <= BACK_US["near"]:
        assert begun.read_to == until + ahead
    else:
        assert begun.read_to == max(START, until)
        if until > START:
            assert begun.under_way is not None
            assert begun.under_way.at == max(START, until - BACK_US["day"])


def test_each_reach_has_its_turn() -> None:
    reading, now, reaches = Reading(START), START + DAY_US, []
    for _ in range(26 * 6):
        reading = begin(reading, now, RETENTION).reading
        assert reading.under_way is not None
        reaches.append(reading.under_way.reach)
        reading = advance(reading, now)
        now += 10 * MINUTE_US
    assert reaches[0] == "day"
    assert reaches[1:145] == (["near"] * 5 + ["wide"]) * 23 + ["near"] * 5 + ["day"]


@given(st.lists(st.integers(0, HOUR_US), max_size=20))
def test_spans_around_instants_hold_them_and_are_apart(found: list[int]) -> None:
    spans = spans_around(found)
    assert all(any(start < each < end for start, end in spans) for each in found)
    assert all(one.end < other.start for one, other in itertools.pairwise(spans))


@given(instants, st.one_of(st.none(), instants), instants)
def test_what_is_looked_at_begins_where_the_watermark_is(
    since: int, complete_to: int | None, until: int
) -> None:
    span = bounds(since, complete_to, until)
    assert span.start <= span.end
    assert span.end <= max(since, until, complete_to or 0)
    if complete_to is None:
        assert span.start == since
    elif complete_to > until:
        assert span.end <= max(since, until)  # it was claimed by a clock that was ahead
    else:
        assert span.start == complete_to


@given(instants, st.integers(0, 100 * DAY_US))
def test_days_cover_the_time_that_is_counted_again(since: int, length: int) -> None:
    span = counted_span(since, since + length)
    parts = days_of(span)
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert not parts or (parts[0].start, parts[-1].end) == span
    assert all(part.start // DAY_US == (part.end - 1) // DAY_US for part in parts)
    assert len(parts) <= DAYS + 1
    assert span == Span(since, since + length) or span.start > since

"""The store of quantities answers what the real one does, for any history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from metering.period import Month, day_start
from metering.store.sql import SqlEventStore
from tests.examples import share
from tests.quantities import STATE, Batch, QuantityStore, events_of, run_id

DAYS = [date(2026, 9, 28) + timedelta(days=number) for number in range(6)]
EVER = (Month(2026, 9).start, Month(2026, 10).end)

# Overlapping batches on few numbers: most runs are told of several times.
batches = st.builds(
    lambda account, first, quantity, outcome, day: Batch(account, first, first + quantity, outcome, day),
    st.sampled_from(["acme", "beta"]),
    st.integers(0, 3),
    st.integers(1, 5),
    st.sampled_from(sorted(STATE)),
    st.sampled_from(DAYS),
)


def _contiguous(history: list[list[Batch]]) -> list[list[Batch]]:
    """A batch of new runs begins where the last ended."""
    known: dict[str, int] = {}
    found = []
    for commit in history:
        kept = []
        for batch in commit:
            if batch.first <= known.get(batch.account, 0):
                kept.append(batch)
                known[batch.account] = max(known.get(batch.account, 0), batch.end)
        found.append(kept)
    return [commit for commit in found if commit]


@given(st.lists(st.lists(batches, min_size=1, max_size=3), min_size=1, max_size=6).map(_contiguous))
@share(30)
def test_quantities_are_kept_as_events_are(
    sqlite_databases: Callable[[], sa.Engine], history: list[list[Batch]]
) -> None:
    real, fake = SqlEventStore(sqlite_databases()), QuantityStore()
    cutoffs = [(real.cutoff().position, fake.cutoff().position)]
    for now, commit in enumerate(history, start=1):
        accepted = real.append([event for batch in commit for event in events_of(batch)], now)
        if any(accepted):
            fake.receive(commit, now)
        cutoffs.append((real.cutoff().position, fake.cutoff().position))
        assert real.cutoff().committed_at == fake.cutoff().committed_at
    for theirs, ours in cutoffs:
        for account in ("acme", "beta", "nobody"):
            for start, end in (EVER, (day_start(DAYS[1]), day_start(DAYS[4]))):
                assert list(fake.runs(account, start, end, ours)) == list(
                    real.runs(account, start, end, theirs)
                )
                later = "run-0000000002"
                assert list(fake.runs(account, start, end, ours, from_id=later)) == list(
                    real.runs(account, start, end, theirs, from_id=later)
                )
                assert fake.days(account, start, end, ours) == real.days(account, start, end, theirs)
                assert fake.names_as_of(account, start, end, ours) == real.names_as_of(
                    account, start, end, theirs
                )
            for month in (Month(2026, 9), Month(2026, 10)):
                if real.unchanged_since(account, month.start, month.end, theirs):
                    assert fake.unchanged_since(account, month.start, month.end, ours)
                    now = real.usage(account, month.start, month.end).counts
                    assert now.billable == sum(
                        real.names_as_of(account, month.start, month.end, theirs).values()
                    )
            ids = [run_id(number) for number in (0, 3, 7)]
            assert fake.find(account, ids, ours) == real.find(account, ids, theirs)
    for account in ("acme", "beta", "nobody"):
        assert fake.has_account(account) == real.has_account(account)
        for by in ("hour", "day", "month"):
            assert fake.usage(account, *EVER, by=by) == real.usage(account, *EVER, by=by)
        assert fake.billable_days(account, *EVER) == real.billable_days(account, *EVER)
        parts = [(EVER[0], Month(2026, 9).end), (Month(2026, 9).end, day_start(DAYS[4]))]
        assert fake.billable_in(account, parts) == real.billable_in(account, parts)
    for month in (Month(2026, 9), Month(2026, 10)):
        assert fake.counts_by_account(month.start, month.end) == real.counts_by_account(
            month.start, month.end
        )
    real.close()

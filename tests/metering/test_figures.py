"""How long runs took and when they were told, and ids that several accounts have, on every engine."""

from __future__ import annotations

import itertools
import random
import uuid
from bisect import bisect_left
from collections import defaultdict

from metering.event import TaskRunEvent
from metering.figures import NEAR_A_SECOND, YOUNGER_US, Asked, RunFigures, SharedRuns, last_commits
from metering.outcome import Outcome, Statement, classify, winner
from metering.period import DAY_US, HOUR_US, SECOND_US, Month, parse_instant
from metering.store import EventStore, run_key
from tests.events import event

OCTOBER = Month.parse("2026-10")
ASKED = Asked(OCTOBER.start, OCTOBER.end, NEAR_A_SECOND)
NOW = parse_instant("2026-10-03T03:00:00Z")
NO_BANDS = (0, 0, 0, 0)


def v7(instant: int, number: int) -> str:
    """A UUIDv7 that was made at an instant."""
    value = (instant // 1000) << 80 | 7 << 76 | 2 << 62 | number
    return str(uuid.UUID(int=value))


def test_an_edge_belongs_to_the_band_below_it(store: EventStore) -> None:
    durations = [899_999, 900_000, 900_001, 1_000_000, 1_000_001, 1_100_000, 1_100_001, 5_000_000]
    store.append([event(f"run-{each}", duration_us=each) for each in durations], NOW)
    store.append([event("cached", state="CACHED", duration_us=950_000)], NOW)
    store.append([event("failed", state="FAILED", duration_us=950_000)], NOW)
    assert store.run_figures(ASKED) == {"acme": RunFigures((2, 2, 2, 2))}
    assert store.run_figures(Asked(OCTOBER.start, OCTOBER.end)) == {"acme": RunFigures((8,))}
    assert store.run_figures(ASKED, ["acme"]) == {"acme": RunFigures((2, 2, 2, 2))}
    assert store.run_figures(ASKED, ["nobody"]) == store.run_figures(ASKED, []) == {}


def test_a_run_is_late_three_whole_days_after_the_day_on_which_it_ended(store: EventStore) -> None:
    end = "2026-10-03T23:59:59Z"
    in_time, late = parse_instant("2026-10-06T23:59:59Z"), parse_instant("2026-10-07T00:00:00Z")
    store.append([event("a", end=end)], in_time)
    store.append([event("b", end=end), event("failed", end=end, state="FAILED")], late)
    store.append([event("c", end=end), event("d", end="2026-10-31T12:00:00Z")], OCTOBER.end + HOUR_US)
    store.append([event("e", end="2026-10-31T12:00:00Z")], OCTOBER.end + 3 * DAY_US)
    assert store.run_figures(ASKED) == {"acme": RunFigures((0, 0, 0, 5), late=3, after_period=2)}


def test_a_run_is_told_by_its_first_event(store: EventStore) -> None:
    """What holds of it came later, and is no sign: a retry, or a repetition."""
    end = "2026-10-03T02:00:05Z"
    store.append([event("a", end=end), event("b", end=end, state="FAILED")], NOW)
    later = NOW + 9 * DAY_US
    store.append([event("a", end=end, duration_us=950_000, state="FAILED"), event("b", end=end)], later)
    store.append([event("c", end=end), event("c", end=end, duration_us=2_000_000)], later)
    assert store.run_figures(ASKED) == {"acme": RunFigures((0, 0, 0, 3), late=1)}


def test_an_id_younger_than_the_end_of_its_run(store: EventStore) -> None:
    ended = parse_instant("2026-10-03T02:00:05Z")
    ids = [v7(ended - 60 * SECOND_US, 1), v7(ended + 2 * DAY_US, 2), "0192d3a4-5b6c-4d8e-9f00-112233445566"]
    store.append([event(each) for each in ids], NOW)
    assert store.run_figures(ASKED)["acme"].younger == 1


def test_one_id_under_several_accounts(store: EventStore) -> None:
    random_ids = [str(uuid.UUID(int=number, version=4)) for number in range(1, 4)]
    timed = [v7(NOW - HOUR_US, number) for number in range(4)]
    store.append([event(each, account="b") for each in (*random_ids, *timed, "run-1")], NOW)
    store.append([event(each, account="a") for each in (*random_ids[:2], *timed[:2], "run-1")], NOW)
    store.append([event(timed[3], account="a", state="FAILED")], NOW)
    store.append([event(timed[1], account="c", state="FAILED")], NOW)
    assert store.shared_runs(OCTOBER.start, OCTOBER.end) == [
        SharedRuns(("a", "b"), 4, 3),
        SharedRuns(("a", "b", "c"), 1, 0),
    ]


def test_the_other_account_may_say_another_month(store: EventStore) -> None:
    """The id tells when it was made; one that does not is looked for in the month alone."""
    timed, random_id = v7(NOW, 1), str(uuid.UUID(int=1, version=4))
    september = "2026-09-20T00:00:00Z"
    store.append([event(timed), event(random_id)], NOW)
    store.append(
        [event(timed, account="b", end=september), event(random_id, account="b", end=september)], NOW
    )
    store.append([event("fill", account="b")], NOW)
    assert store.shared_runs(OCTOBER.start, OCTOBER.end) == [SharedRuns(("acme", "b"), 1, 1)]
    assert store.shared_runs(OCTOBER.next().start, OCTOBER.next().end) == []


def test_figures_are_those_that_one_run_after_the_other_gives(store: EventStore) -> None:
    """Random histories, with runs that several events speak of, in other months too."""
    random_ = random.Random(7)
    told: dict[tuple[str, str], list[tuple[int, Statement]]] = defaultdict(list)
    days = []
    ids = [v7(OCTOBER.start + (number - 1) * 5 * DAY_US, number) for number in range(9)] + ["r", "s"]
    for position in range(1, 13):
        now = OCTOBER.start + position * 4 * DAY_US
        batch: dict[tuple[str, str], TaskRunEvent] = {}
        for _ in range(6):
            one = TaskRunEvent(
                random_.choice("ab"),
                random_.choice(ids),
                random_.choice(["COMPLETED", "COMPLETED", "COMPLETED", "CACHED", "FAILED"]),
                0,
                OCTOBER.start + random_.randrange(-5, 40) * DAY_US + random_.randrange(DAY_US),
                random_.choice([800_000, 950_000, 1_050_000, 3_000_000]),
            )
            batch[one.account, one.task_run_id] = one
        store.append(list(batch.values()), now)
        days.append((now // DAY_US, store.cutoff().position))
        for key, one in batch.items():
            outcome = classify(one.state, one.duration_us)
            assert outcome is not None
            said = Statement(outcome, one.ended_at, one.duration_us, "", "", "")
            told[key].append((store.cutoff().position, said))
        assert store.run_figures(ASKED) == _one_after_the_other(told, days)


def _one_after_the_other(
    told: dict[tuple[str, str], list[tuple[int, Statement]]], days: list[tuple[int, int]]
) -> dict[str, RunFigures]:
    last = last_commits(ASKED, days)
    found: dict[str, list[int]] = defaultdict(lambda: [0] * 7)
    for (account, run), said in told.items():
        best, first = winner(each for _, each in said), min(position for position, _ in said)
        if not ASKED.start <= best.ended_at < ASKED.end:
            continue
        sums = found[account]
        if best.outcome in (Outcome.BILLABLE, Outcome.TOO_SHORT):
            sums[bisect_left(NEAR_A_SECOND, best.duration_us)] += 1
        if best.outcome is Outcome.BILLABLE:
            late = first > last.in_time[best.ended_at // DAY_US - last.first_day]
            made = (run_key.bucket(run_key.encode(run)) << 20) * 1000
            sums[4] += late
            sums[5] += late and first > last.of_period
            sums[6] += made > best.ended_at + YOUNGER_US
    return {account: RunFigures(tuple(sums[:4]), *sums[4:]) for account, sums in found.items()}


def test_accounts_are_asked_for_in_parts(store: EventStore) -> None:
    names = [f"a{number}" for number in range(1100)]
    store.append([event(v7(NOW, number), account=name) for number, name in enumerate(names)], NOW)
    found = store.run_figures(ASKED, names)
    assert found.keys() == set(names)
    assert all(each == RunFigures((0, 0, 0, 1)) for each in found.values())
    assert list(itertools.islice(store.shared_runs(OCTOBER.start, OCTOBER.end), 1)) == []

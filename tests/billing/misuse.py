"""A month of honest accounts, and one cheat of each kind among them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence

from metering.event import TaskRunEvent
from metering.period import DAY_US, SECOND_US, Month
from metering.store import EventStore

OCTOBER = Month.parse("2026-10")
HONEST = [f"honest-{number:02d}" for number in range(12)]
CHEATS = {
    "cacher": "cached_share",
    "undoer": "reversed_share",
    "splitter": "just_under_a_second",
    "latecomer": "backdated",
    "newcomer": "backdated",
    "twin-1": "shared_run_id",
    "twin-2": "shared_run_id",
}
LATE = {"latecomer", "newcomer"}
MONTHS = [Month.parse(text) for text in ("2026-07", "2026-08", "2026-09", "2026-10")]
RUNS = 1500
_LONG, _SHORT = 5 * SECOND_US, 200_000


def send_months(store: EventStore, accounts: Sequence[str] = (*HONEST, *CHEATS)) -> None:
    """Three honest months of everybody, and October. The runs of a day are handed in at its end; what is
    back-dated, in November."""
    due: dict[int, list[TaskRunEvent]] = defaultdict(list)
    for month in MONTHS:
        for place, account in enumerate(accounts):
            cheats = account in CHEATS and month == OCTOBER
            for number, each in enumerate(_month(account, place, month, cheats=cheats)):
                late = cheats and account in LATE and number >= 100
                day = (OCTOBER.end + 10 * DAY_US if late else each.ended_at) // DAY_US
                due[day].append(each)
    for day in sorted(due):
        store.append(due[day], (day + 1) * DAY_US - 1)


def _month(account: str, place: int, month: Month, *, cheats: bool) -> Iterator[TaskRunEvent]:
    """Of an honest account's runs 6 in 100 are cached, 4 reversed, and so on."""
    for number in range(RUNS):
        # Three days a month: what is told in a commit a day is not late.
        ended = month.start + (number % 3) * DAY_US + number * SECOND_US
        state, duration = "COMPLETED", _LONG
        hundredth = (number * 37 + place) % 100
        if hundredth < 6:
            state, duration = "CACHED", _SHORT
        elif hundredth < 10:
            state = "ROLLED_BACK"
        elif hundredth < 30:
            duration = _SHORT
        elif hundredth < 40:
            duration = SECOND_US - 50_000 if hundredth % 2 else SECOND_US + 50_000
        if cheats and hundredth >= 20 and not 40 <= hundredth < 50:
            if account == "cacher":
                state, duration = "CACHED", _SHORT
            elif account == "undoer":
                state, duration = "ROLLED_BACK", _LONG
            elif account == "splitter":
                state, duration = "COMPLETED", SECOND_US - 20_000
        owner = "twin" if account.startswith("twin") and cheats else account
        run = _id(owner, month, ended, number)
        yield TaskRunEvent(account, run, state, ended - duration, ended, duration)


def _id(owner: str, month: Month, ended: int, number: int) -> str:
    """A UUIDv7 of when the run began; what is back-dated began later than it says."""
    made = ended - 6 * SECOND_US + (20 * DAY_US if owner in LATE and month == OCTOBER else 0)
    tail = uuid.uuid5(uuid.NAMESPACE_OID, f"{owner} {month} {number}").int & (1 << 62) - 1
    return str(uuid.UUID(int=(made // 1000) << 80 | 7 << 76 | 2 << 62 | tail))

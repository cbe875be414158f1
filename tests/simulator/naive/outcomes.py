"""What task runs come to (docs/rules.md §2), from a log of all that was said about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from tests.simulator.naive.calendar import day_of

RANK = ("reversed", "billable", "too_short", "cached", "cancelled", "crashed", "failed")
SECOND = 1_000_000


@dataclass(frozen=True)
class Event:
    account: str
    run: str
    state: str
    ended: int
    duration: int


@dataclass(frozen=True)
class Correction:
    account: str
    run: str
    action: str


Log = list[Event | Correction]


def says(event: Event) -> str | None:
    long = event.duration > SECOND
    return {
        "ROLLED_BACK": "reversed",
        "CACHED": "billable" if long else "cached",
        "COMPLETED": "billable" if long else "too_short",
        "CANCELLED": "cancelled",
        "CRASHED": "crashed",
        "FAILED": "failed",
    }.get(event.state)


@dataclass(frozen=True)
class Held:
    """What a run comes to, and on which day."""

    outcome: str
    day: date


def judge(events: list[Event], action: str | None) -> Held:
    said = [(says(each), each) for each in events]
    if action == "restore":
        kept = [(what, each) for what, each in said if what != "reversed"]
        again = [("billable" if each.duration > SECOND else "too_short", each) for _, each in said]
        said = kept or again
    what, event = min(said, key=lambda each: (RANK.index(str(each[0])), each[1].ended, each[1].duration))
    return Held("reversed" if action == "reverse" else str(what), day_of(event.ended))


def runs_of(log: Log, account: str) -> dict[str, Held]:
    """Every run of an account; of those that the operator spoke of, his last word holds."""
    events: dict[str, list[Event]] = defaultdict(list)
    actions: dict[str, str] = {}
    for each in log:
        if each.account != account:
            continue
        if isinstance(each, Correction):
            actions[each.run] = each.action
        else:
            events[each.run].append(each)
    return {run: judge(said, actions.get(run)) for run, said in events.items()}

"""Task runs that sources send, and what is said of them later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from billing import corrections
from metering.ingestion import IngestReport
from metering.outcome import Outcome
from metering.sources import Admission, decode
from tests.quantities import Batch
from tests.scenarios.office import BY, Office
from tests.scenarios.story import StoryError, day, days, rows, whole
from tests.scenarios.verbs import does

_OUTCOMES = {outcome.reason: outcome for outcome in Outcome} | dict.fromkeys(
    ("run", "runs"), Outcome.BILLABLE
)
_CORRECTED = re.compile(
    r"(?P<quantity>[\d,]+) (?P<was>runs?|failed|reversed) are (?P<done>reversed|restored)"
)
_SENT = re.compile(r"([\d,]+) (\w+)")
_LATER = re.compile(
    r"(?P<quantity>[\d,]+) (?P<was>runs?|failed|crashed|cancelled) "
    r"(?:(?P<reversed>(were|was) reversed)(?: on (?P<on>\S+))?"
    r"|ended on (?P<ended>\S+) after all|succeeded on (?P<succeeded>\S+))"
)


@does("runs of {account}")
def send_runs(office: Office, value: dict[str, str], account: str) -> None:
    """`2026-10-03: 12,000 runs, 7 failed`"""
    batches: list[Batch] = []
    for when, what in value.items():
        for on in days(when):
            for part in what.split(", "):
                match = _SENT.fullmatch(part)
                if match is None or match[2] not in _OUTCOMES:
                    raise StoryError(f"{part!r} is not a quantity such as 12,000 runs, or 7 failed")
                batches += office.sender(account).new(whole(match[1]), on, _OUTCOMES[match[2]])
    office.send(batches)


@does("later news of {account}")
def send_again(office: Office, value: dict[str, str], account: str) -> None:
    """`2026-10-03: 200 runs were reversed`, `5 runs ended on 2026-09-30 after all`, `3 failed succeeded on
    2026-11-01`"""
    batches: list[Batch] = []
    for when, what in value.items():
        match = _LATER.fullmatch(what)
        if match is None:
            raise StoryError(f"{what!r} is not news of runs such as: 200 runs were reversed")
        to = Outcome.REVERSED if match["reversed"] else Outcome.BILLABLE
        to_day = match["on"] or match["ended"] or match["succeeded"] or when
        batches += office.sender(account).again(
            whole(match["quantity"]), day(when), _OUTCOMES[match["was"]], to=to, to_day=day(to_day)
        )
    office.send(batches)


@does("corrections of {account}")
def correct(office: Office, value: dict[str, str], account: str) -> None:
    """The operator's word: `2026-10-03: 200 runs are reversed`, `50 reversed are restored`"""
    for when, what in value.items():
        match = _CORRECTED.fullmatch(what)
        if match is None:
            raise StoryError(f"{what!r} is no correction such as: 200 runs are reversed")
        action, to = {
            "reversed": ("reverse", Outcome.REVERSED),
            "restored": ("restore", Outcome.BILLABLE),
        }[match["done"]]
        quantity = whole(match["quantity"])
        ids = office.sender(account).corrected(quantity, day(when), _OUTCOMES[match["was"]], to=to)
        done = corrections.correct(
            office.engine, office.store, account, ids, action, "a story", author=BY, now=office.now
        )
        assert (done.corrected, done.unchanged, done.errors) == (quantity, 0, ())


@does("events of {account}")
def send_events(office: Office, value: str, account: str) -> None:
    """One event of each run, as a source sends it: `a-1 to a-12  COMPLETED  2026-10-03T12:00:00Z  1.5`."""
    now = office.now
    body = json.dumps([each for row in rows(value, 4) for each in _events(account, *row)]).encode()
    decoded = decode(body, format="task-run", framing="json", admission=Admission(now))
    report = IngestReport()
    report.add(decoded, office.store.append(decoded.events, now))
    office.result = report.to_data()


def _events(account: str, runs: str, state: str, ended: str, seconds: str) -> Iterator[dict[str, str]]:
    first, _, last = runs.partition(" to ")
    name, _, begin = first.rpartition("-")
    end = (last or first).rpartition("-")[2]
    for number in range(int(begin), int(end) + 1):
        run = {"account": account, "task_run_id": f"{name}-{number}", "state": state}
        yield run | {"started_at": "2001-01-01T00:00:00Z", "ended_at": ended, "duration": seconds}


@does("reverse runs of {account}")
def reverse(office: Office, account: str, *, runs: str, changes: str) -> None:
    _correct(office, account, runs, "reverse", changes)


@does("restore runs of {account}")
def restore(office: Office, account: str, *, runs: str, changes: str) -> None:
    _correct(office, account, runs, "restore", changes)


def _correct(office: Office, account: str, runs: str, action: str, changes: str) -> None:
    """The operator's word on runs by their names; `changes`: for how many of them it is news."""
    done = corrections.correct(
        office.engine, office.store, account, runs.split(), action, "a story", author=BY, now=office.now
    )
    assert (done.corrected, done.errors) == (whole(changes), ())

"""Task runs that sources send, and what is said of them later."""

from __future__ import annotations

import re

from billing import corrections
from metering.outcome import Outcome
from tests.quantities import Batch
from tests.scenarios.office import BY, Office
from tests.scenarios.story import StoryError, day, days, whole
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

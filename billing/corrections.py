"""The operator's corrections of task runs: who settles a dispute reverses or restores runs, whatever their
events say (docs/rules.md §2). What an invoiced month then comes to reaches the next invoice as an adjustment.

The record is the meter's, in the order of commits; it is only ever added to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from billing.audit.entry import canonical, sha256
from billing.audit.trail import note
from billing.billing_details import check_text
from billing.errors import Invalid, NotFound
from billing.repository import accounts
from billing.terms import no_account
from billing.voids import check_reason
from metering.database import reading, writing
from metering.outcome import Action
from metering.period import Month, format_instant
from metering.sources.fields import is_task_run_id
from metering.store import Correction, EventStore, Verdict
from metering.store.corrections import Recorded, at_position, recorded

ERRORS_SHOWN = 100
# Runs of one transaction: others who write wait for it, about a second.
_AT_ONCE = 10_000
# Rows of the record that are held at a time.
_PAGE = 1000

# In the trail: what entries about the record are of, and what says that an operator knows of it.
KIND = "runs"
CONFIRMED = "runs.confirmed"

ACTIONS = {action.text: action for action in Action}


@dataclass(frozen=True, slots=True)
class RunError:
    """A run that was not corrected: `index` is its place among those that were named, from 0."""

    index: int
    message: str

    def to_data(self) -> dict[str, object]:
        return {"index": self.index, "field": "task_run_ids", "message": self.message}


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a correction did. `unchanged` runs are, or are not, reversed already: nothing was recorded."""

    account: str
    action: str
    corrected: int
    unchanged: int
    errors: tuple[RunError, ...]

    def to_data(self) -> dict[str, object]:
        """In the shape of JSON answers, with the first errors."""
        return {
            "account": self.account,
            "action": self.action,
            "corrected": self.corrected,
            "unchanged": self.unchanged,
            "failed": len(self.errors),
            "errors": [error.to_data() for error in self.errors[:ERRORS_SHOWN]],
        }


def correct(
    engine: sa.Engine,
    store: EventStore,
    account: str,
    task_run_ids: Sequence[str],
    action: str,
    reason: str,
    *,
    author: str,
    now: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Corrected:
    """Reverse or restore task runs of an account, thousands a transaction, each with its entry in the trail;
    done again, nothing changes. A run that is not held is an error, and costs the others nothing. Raises
    Invalid, or NotFound for an account that nobody knows."""
    if action not in ACTIONS:
        raise Invalid(f"action {action!r} is not one of {', '.join(ACTIONS)}", field="action")
    check_reason(reason)
    check_text("author", author)
    if not author.strip():
        raise Invalid("say who corrects it; the author is kept with the correction", field="author")
    if not task_run_ids:
        raise Invalid("name the task runs to correct", field="task_run_ids")
    if not store.has_account(account):
        with reading(engine) as connection:
            if accounts.get(connection, account) is None:
                raise no_account(account)
    asked = Correction(ACTIONS[action], reason, author)
    places = {run: index for index, run in reversed(list(enumerate(task_run_ids))) if is_task_run_id(run)}
    runs = sorted(places, key=places.__getitem__)
    verdicts: dict[str, Verdict] = {}
    for at in range(0, len(runs), _AT_ONCE):
        some = runs[at : at + _AT_ONCE]
        done = store.correct(account, some, asked, now, noting=partial(_note, account, asked, now))
        verdicts |= zip(some, done, strict=True)
        progress(at + len(some), len(runs))
    corrected = sum(verdict is Verdict.CORRECTED for verdict in verdicts.values())
    errors = tuple(
        RunError(index, _not_held(account, run))
        for index, run in enumerate(task_run_ids)
        if verdicts.get(run, Verdict.NOT_HELD) is Verdict.NOT_HELD
    )
    unchanged = len(task_run_ids) - corrected - len(errors)
    return Corrected(account, action, corrected, unchanged, errors)


def _note(
    account: str, asked: Correction, now: int, connection: sa.Connection, position: int, runs: Sequence[str]
) -> None:
    """In the trail, by who acted, in the transaction of the record: that is the meter's, with reason and
    author of each run. The entry says which of it is meant, and what it is."""
    detail = {
        "author": asked.author,
        "runs": len(runs),
        "sha256": sha256("".join(f"{run}\n" for run in runs)),
        "first": list(runs[:3]),
        "position": position,
        "record_sha256": record_digest(
            Recorded(position, place, account, run, asked.action, asked.reason, asked.author, now)
            for place, run in enumerate(runs)
        ),
    }
    deed = "runs.reversed" if asked.action is Action.REVERSE else "runs.restored"
    note(connection, deed, KIND, account, now=now, account=account, reason=asked.reason, detail=detail)


def record_digest(rows: Iterable[Recorded]) -> str:
    """Of what is recorded of an account in one transaction, as its entry in the trail has it."""
    said = ((each.place, each.task_run_id, each.action.text, *each[5:]) for each in rows)
    return sha256("".join(f"{canonical(each)}\n" for each in said))


def confirm(engine: sa.Engine, positions: Sequence[int], reason: str, *, now: int) -> int:
    """Say of what is recorded at some positions without an entry in the trail, or not as its entry says, that
    it is known: from then on the trail has it as it is. Answers of how many task runs. Raises Invalid, or
    NotFound for a position at which nothing is."""
    check_reason(reason)
    if not positions:
        raise Invalid("name the positions to confirm, as `billing prove` does", field="positions")
    confirmed = 0
    with writing(engine) as connection:
        for position in sorted(set(positions)):
            whole = at_position(connection, position)
            if not whole:
                raise NotFound(f"nothing was corrected at position {position}; see: billing prove")
            for account in sorted({each.account for each in whole}):
                rows = [each for each in whole if each.account == account]
                detail = {
                    "runs": len(rows),
                    "first": [each.task_run_id for each in rows[:3]],
                    "position": position,
                    "record_sha256": record_digest(rows),
                }
                tell = partial(note, connection, CONFIRMED, KIND, account, now=now, account=account)
                tell(reason=reason, detail=detail)
                confirmed += len(rows)
    return confirmed


def _not_held(account: str, run: str) -> str:
    shown = run if is_task_run_id(run) else repr(run)
    return f"account {account} has no task run {shown}; check the id, or send its events first"


def corrections(
    engine: sa.Engine,
    *,
    account: str | None = None,
    task_run_id: str | None = None,
    month: Month | None = None,
    after: str = "",
    limit: int | None = None,
) -> Iterator[Recorded]:
    """The record after a correction's id, in its order: all, or what is of an account, of a run, or recorded
    in a month. Raises Invalid for an id that no correction can have."""
    last = _parse_id(after) if after else (0, -1)
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = recorded(engine, account=account, task_run_id=task_run_id, month=month, after=last, limit=size)
        yield from page
        if len(page) < size:
            return
        last = page[-1].position, page[-1].place
        left = None if left is None else left - size


def correction_id(each: Recorded) -> str:
    return f"{each.position}-{each.place}"


_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,9})", re.ASCII).fullmatch


def _parse_id(text: str) -> tuple[int, int]:
    match = _ID(text)
    if match is None:
        raise Invalid("cursor is not one of this list; take it from the Link header", field="cursor")
    return int(match[1]), int(match[2])


def correction_data(each: Recorded) -> dict[str, object]:
    """A correction in the shape of JSON answers."""
    return {
        "id": correction_id(each),
        "account": each.account,
        "task_run_id": each.task_run_id,
        "action": each.action.text,
        "reason": each.reason,
        "author": each.author,
        "recorded_at": format_instant(each.recorded_at),
    }

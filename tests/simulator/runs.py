"""What sources say of task runs, on time, late, twice or otherwise; and what the operator says."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from tests.simulator.naive.calendar import first_of, instant, instant_text
from tests.simulator.naive.outcomes import Event, says
from tests.simulator.scene import Scene

_STATES = ("COMPLETED",) * 8 + ("FAILED", "CRASHED", "CANCELLED", "CACHED", "ROLLED_BACK", "RUNNING")
_SECONDS = ("5",) * 6 + ("1", "1.000001", "1.0000009", "0.2", "3600")
_TIMES = ("12:00:00.000000", "12:00:00.000000", "00:00:00.000000", "23:59:59.999999", "06:30:00.5")

Row = tuple[str, int, int, str, str, str]
"""Account, first and last run, state, end, seconds."""


def send(scene: Scene, rows: list[Row]) -> None:
    """Rows of one account in one batch; the story tells what became of each event."""
    counted: Counter[str] = Counter()
    events = []
    for account, first, last, state, ended, seconds in rows:
        for number in range(first, last + 1):
            event = Event(account, f"{account}-{number}", state, instant(ended), _micros(seconds))
            if says(event) is None:
                counted["ignored"] += 1
            elif event.ended // 86_400_000_000 > (scene.today - date(1970, 1, 1)).days:
                counted["rejected"] += 1
            else:
                events.append(event)
    for accepted in scene.books.send(events):
        counted["accepted" if accepted else "duplicate"] += 1
    table = "".join(
        f"{account}-{first} to {account}-{last}  {state}  {ended}  {seconds}\n"
        for account, first, last, state, ended, seconds in rows
    )
    kinds = ("accepted", "duplicate", "ignored", "rejected")
    taken = ", ".join(f"{counted[kind]} {kind}" for kind in kinds if counted[kind])
    scene.story.step(scene.today, {f"events of {rows[0][0]}": table, "taken": taken})
    scene.sent += rows


def _micros(seconds: str) -> int:
    whole, _, rest = seconds.partition(".")
    return int(whole) * 1_000_000 + int(rest.ljust(6, "0")[:6])


def _row(scene: Scene, account: str, day: date, most: int = 30) -> Row:
    quantity = scene.chance.randint(1, most)
    first = scene.number(f"runs of {account}")
    for _ in range(quantity - 1):
        scene.number(f"runs of {account}")
    ended = f"{day}T{scene.one(*_TIMES)}Z"
    state, seconds = scene.one(*_STATES), scene.one(*_SECONDS)
    return account, first, first + quantity - 1, state, ended, seconds


def _past(scene: Scene, since: date | None = None) -> date:
    """A day that is over, of this month if there is one."""
    first = since or first_of(scene.month)
    days = (scene.today - first).days
    return scene.today - timedelta(days=scene.chance.randint(1, max(1, days)))


def new(scene: Scene, account: str) -> None:
    send(scene, [_row(scene, account, _past(scene)) for _ in range(scene.chance.randint(1, 3))])


def only(scene: Scene, account: str, day: date) -> None:
    """One more run that counts."""
    number = scene.number(f"runs of {account}")
    send(scene, [(account, number, number, "COMPLETED", f"{day}T08:00:00Z", "5")])


def late(scene: Scene) -> None:
    """Runs of a month that is invoiced, or of any day that is over."""
    account = scene.account()
    days = [
        first_of(each.month) + timedelta(days=scene.chance.randrange(28)) for each in account.usage_invoices()
    ]
    day = scene.one(*days) if days and scene.yes(0.8) else _past(scene, scene.today - timedelta(days=120))
    send(scene, [_row(scene, account.id, day)])


def stranger(scene: Scene) -> None:
    """An account that billing does not know."""
    send(scene, [_row(scene, "stranger", _past(scene), 5)])


def repeat(scene: Scene) -> None:
    """A batch again, and something that cannot be."""
    if scene.sent:
        row = scene.one(*scene.sent)
        extra = [(*row[:4], f"{scene.today + timedelta(days=2)}T00:00:00Z", "5")] if scene.yes(0.3) else []
        send(scene, [row, *extra])


def conflict(scene: Scene) -> None:
    """Something else about runs of which something was said: another state, end or duration."""
    if not scene.sent:
        return
    account, first, last, state, ended, seconds = scene.one(*scene.sent)
    first = scene.chance.randint(first, last)
    last = scene.chance.randint(first, last)
    if scene.yes(0.7):
        state = scene.one(*_STATES)
    if scene.yes(0.5):
        ended = instant_text(instant(ended) + scene.one(-1, 1, -86_400_000_000, -15 * 86_400_000_000))
    if scene.yes(0.3):
        seconds = scene.one(*_SECONDS)
    send(scene, [(account, first, last, state, ended, seconds)])


def correct(scene: Scene) -> None:
    """The operator's word on some runs."""
    events = [each for each in scene.books.log if isinstance(each, Event) and each.account != "stranger"]
    if not events:
        return
    account = scene.one(*events).account
    known = sorted({each.run for each in events if each.account == account})
    some = scene.chance.sample(known, min(len(known), scene.chance.randint(1, 12)))
    action = scene.one("reverse", "reverse", "restore")
    changed = scene.books.correct(account, some, action)
    said = {"runs": " ".join(some), "changes": str(changed)}
    scene.story.step(scene.today, {f"{action} runs of {account}": said})

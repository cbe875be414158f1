"""Random commerce, drawn from a seed: what accounts, sources and operators do over some months, and by
`naive.books` what must come of it. Nothing is asked of the service: a seed is a story, told later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tests.simulator import agreements, documents, runs
from tests.simulator.naive.calendar import after, first_of, months_between
from tests.simulator.scene import Scene

# What may happen on any day, and how likely it is.
_MAY_HAPPEN: tuple[tuple[int, Callable[[Scene], None]], ...] = (
    (9, runs.late),
    (5, runs.conflict),
    (3, runs.repeat),
    (5, runs.correct),
    (1, runs.stranger),
    (2, agreements.join),
    (2, agreements.another_version),
    (4, agreements.set_plan),
    (4, agreements.sign),
    (4, agreements.grant),
    (4, agreements.change_contract),
    (1, agreements.withdraw),
    (4, agreements.program),
    (2, agreements.leave_program),
    (3, agreements.protect),
    (1, agreements.refer),
    (1, agreements.close),
    (1, agreements.reopen),
    (4, documents.credit),
    (5, documents.void),
    (4, documents.note),
    (3, documents.pay),
    (3, documents.invoice_contracts),
    (2, documents.look),
    (3, documents.bill_again),
    (1, documents.early),
    (1, documents.too_early),
)


def happen(seed: int, *, at_stripe: bool = False) -> Scene:
    """All that a seed has in it, the same each time, with its story and with the books at its end."""
    scene = Scene(seed, at_stripe=at_stripe)
    for place in range(scene.chance.randint(1, 2)):
        # The sandbox knows no ISK.
        code = scene.one("USD", "USD", "USD", "JPY", "KWD", "USD" if scene.at_stripe else "ISK")
        agreements.offer(scene, f"p{place}", code, first_of(scene.month) - timedelta(days=100))
    accounts = scene.chance.randint(1, 3)
    while len(scene.books.accounts) < accounts:
        agreements.join(scene)
    for _ in range(scene.chance.randint(2, 5)):
        _live_through(scene)
        scene.month = after(scene.month)
    _end(scene)
    return scene


def _live_through(scene: Scene) -> None:
    """Things happen on some days of a month; on the second day of the next one it is billed, somehow."""
    month = scene.month
    for day in sorted(scene.chance.sample(range(1, 28), scene.chance.randint(1, 4))):
        scene.today = first_of(month) + timedelta(days=day)
        for account in list(scene.books.accounts):
            if scene.yes(0.6):
                runs.new(scene, account)
        for _ in range(scene.chance.randint(0, 3)):
            (happens,) = scene.chance.choices(
                [do for _, do in _MAY_HAPPEN], [weight for weight, _ in _MAY_HAPPEN]
            )
            happens(scene)
    scene.today = first_of(after(month)) + timedelta(days=1)
    documents.bill_somehow(scene, month)


def _end(scene: Scene) -> None:
    """What failed or is void is run in order; then a last month adjusts all that is left."""
    last = scene.month
    scene.today = first_of(after(last)) + timedelta(days=1)
    for account in scene.books.accounts.values():
        if account.closed_on is not None:
            agreements.reopen(scene, account)
        runs.only(scene, account.id, first_of(last))
    for month in months_between(min(each.billed_from for each in scene.books.accounts.values()), after(last)):
        if month == last or scene.books.is_open(month):
            documents.bill(scene, month)
    documents.invoice_contracts(scene)
    documents.look(scene)

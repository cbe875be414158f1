"""Does what is due at Stripe: sends finalized invoices, gives credit notes, voids.

Before a step its intent is committed, after it its result, so that a kill between any two calls resumes where
it was. Each call has an idempotency key derived from the intent and the step. Keys live 24 hours at Stripe,
and a step may be resumed later than that: so one that was begun before looks for what exists, whenever that
was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from billing.payments import crediting, sending, voiding
from billing.payments.desk import Clock, Desk
from billing.payments.errors import Answered, Declined, NeedsOperator, PaymentError, TryAgain
from billing.repository import outbox
from billing.repository.invoices import Invoice
from billing.repository.outbox import ALL, Intent, Kind, Wanted
from metering.database import reading, writing
from metering.period import HOUR_US, SECOND_US

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway

FIRST_PAUSE_US = 30 * SECOND_US
LONGEST_PAUSE_US = 6 * HOUR_US
# So many intents are looked up at once.
PAGE = 500

log = structlog.get_logger()

Progress = Callable[[int, int], None]

# Does the next step and stores its result; answers the intent as it stands then.
_STEP: Mapping[Kind, Callable[[Desk, Intent, Invoice], Intent | None]] = {
    "send": sending.step,
    "credit_note": crediting.step,
    "void": voiding.step,
}
_NOT_DONE: Mapping[Kind, str] = {
    "send": "not sent",
    "credit_note": "credit note not given at Stripe",
    "void": "not voided",
}


@dataclass(slots=True)
class Delivery:
    """What a round of work did: the invoices that were sent, and the intents that were not done, with what is
    in their way. `waiting` will be tried again, `failed` need a person."""

    sent: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: Delivery) -> None:
        """A later round, whose word on an intent replaces that of an earlier one."""
        seen = {*other.sent, *other.waiting, *other.failed}
        for earlier in (self.waiting, self.failed):
            for intent_id in seen & earlier.keys():
                del earlier[intent_id]
        self.sent += other.sent
        self.waiting |= other.waiting
        self.failed |= other.failed

    @property
    def problems(self) -> dict[str, str]:
        """What is in the way of each intent that was not done."""
        return self.waiting | self.failed


def send_due(
    engine: sa.Engine,
    gateway: StripeGateway,
    clock: Clock,
    wanted: Wanted = ALL,
    *,
    progress: Progress = lambda done, total: None,
) -> Delivery:
    """Do what is due, all of it or what is wanted of it. Never raises for Stripe's errors: they are
    kept with their intents and answered."""
    delivery = Delivery()
    desk = Desk(engine, gateway, clock)
    now, done, after = clock(), 0, None
    with reading(engine) as connection:
        total = outbox.count_due(connection, now, wanted)
    while True:
        # A page at a time, each as of now: a month has any number of invoices, and others work on it too.
        with reading(engine) as connection:
            page = outbox.due(connection, now, wanted, after=after, limit=PAGE)
        for intent_id in page:
            progress(min(done, total), total)
            _do(desk, intent_id, delivery)
            done += 1
        if len(page) < PAGE:
            break
        after = page[-1]
    progress(total, total)
    return delivery


def _do(desk: Desk, intent_id: str, delivery: Delivery) -> None:
    intent = desk.claim(intent_id)
    if intent is None:
        return  # another process has it, it waits for another intent, or it is done
    kind = intent.kind
    try:
        if _finish(desk, intent) and kind == "send":
            delivery.sent.append(intent_id)
    except PaymentError as caught:
        error = _told(desk, intent, caught)
        _postpone(desk, intent_id, error)
        said = delivery.failed if isinstance(error, NeedsOperator) else delivery.waiting
        said[intent_id] = f"{_NOT_DONE[kind]}: {error}"
    except sa.exc.DBAPIError:
        raise  # without the database nothing can be sent, and nothing recorded
    except Exception as error:  # one invoice never keeps the others from being sent
        log.exception("intent not done", intent=intent_id)
        message = f"unexpected {type(error).__name__}: {error}; please report it"
        _postpone(desk, intent_id, NeedsOperator(message))
        delivery.failed[intent_id] = f"{_NOT_DONE[kind]}: {message}"


def _told(desk: Desk, intent: Intent, error: PaymentError) -> PaymentError:
    """What Stripe says when it refuses is not what to do about it: that is added."""
    if not isinstance(error, Declined):
        return error
    again = desk.how_to_go_on(intent)
    return NeedsOperator(f"Stripe refuses it ({error}); put right what it names, then: {again}")


def _finish(desk: Desk, intent: Intent) -> bool:
    """Do the steps that are left. False if there was nothing to do any more."""
    now: Intent | None = intent
    while now is not None and now.status == "pending":
        begun = desk.begin(now)
        if begun is None:
            return False
        done = now
        now = _STEP[intent.kind](desk, *begun)
        assert now is None or (now.step, now.generation, now.status) != (
            done.step, done.generation, done.status
        ), "a step that is done leads on"  # fmt: skip
    return now is not None and now.status == "done"


def _postpone(desk: Desk, intent_id: str, error: PaymentError) -> None:
    with writing(desk.engine) as connection:
        intent = outbox.get(connection, intent_id)
        assert intent is not None
        if intent.status != "pending":
            return  # it was done, or withdrawn, meanwhile
        pause = min(FIRST_PAUSE_US * 2 ** min(intent.attempts, 20), LONGEST_PAUSE_US)
        outbox.update(
            connection,
            intent_id,
            status="pending" if isinstance(error, TryAgain) else "failed",
            attempts=intent.attempts + 1,
            # Stripe keeps a refusal, too, as its answer for the key: what an operator mends needs a new one.
            generation=intent.generation + isinstance(error, Answered | NeedsOperator),
            next_attempt_at=desk.clock() + pause,
            claimed_until=0,
            error=str(error),
        )

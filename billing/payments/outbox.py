"""Sends finalized invoices to Stripe, one small step at a time.

`customer → create → lines → finalize`: before a step its intent is committed, after it its result, so that a
kill between any two calls resumes where it was. Each call has an idempotency key derived from the invoice
and the step. Keys live 24 hours at Stripe, and a step may be resumed later than that: so one that was begun
before looks for what exists, whenever that was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from billing.payments.errors import Answered, Missing, NeedsOperator, PaymentError, TryAgain
from billing.payments.state import apply
from billing.repository import accounts, invoices, outbox
from billing.repository.invoices import Invoice
from billing.repository.outbox import Intent
from metering.database import reading, writing
from metering.period import HOUR_US, SECOND_US, Month

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway, StripeInvoice

# While one process works on a step, others leave its intent alone for this long: longer than the SDK takes
# with all its attempts.
CLAIM_US = 90 * SECOND_US
FIRST_PAUSE_US = 30 * SECOND_US
LONGEST_PAUSE_US = 6 * HOUR_US

log = structlog.get_logger()

Clock = Callable[[], int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """How invoices are to be paid when Stripe cannot charge the customer by itself."""

    days_until_due: int = 30


@dataclass(slots=True)
class Delivery:
    """What a round of sending did: invoices by id; `waiting` will be tried again, `failed` need a person."""

    sent: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: Delivery) -> None:
        """A later round, whose word on an invoice replaces that of an earlier one."""
        seen = {*other.sent, *other.waiting, *other.failed}
        for earlier in (self.waiting, self.failed):
            for invoice_id in seen & earlier.keys():
                del earlier[invoice_id]
        self.sent += other.sent
        self.waiting |= other.waiting
        self.failed |= other.failed


def send_due(
    engine: sa.Engine,
    gateway: StripeGateway,
    clock: Clock,
    *,
    month: Month | None = None,
    account: str | None = None,
    terms: Terms = Terms(),
    progress: Progress = lambda done, total: None,
) -> Delivery:
    """Send what is due, all of it or one month's. Never raises for Stripe's errors: they are kept with their
    intents and answered."""
    delivery = Delivery()
    with reading(engine) as connection:
        ids = outbox.due(connection, clock(), month=month, account=account)
    for done, invoice_id in enumerate(ids):
        progress(done, len(ids))
        _send(engine, gateway, clock, terms, invoice_id, delivery)
    progress(len(ids), len(ids))
    return delivery


def _send(
    engine: sa.Engine,
    gateway: StripeGateway,
    clock: Clock,
    terms: Terms,
    invoice_id: str,
    delivery: Delivery,
) -> None:
    now = clock()
    with writing(engine) as connection:
        intent = outbox.claim(connection, invoice_id, now, now + CLAIM_US)
    if intent is None:
        return  # another process has it, or it is done
    sender = _Sender(engine, gateway, clock, terms, invoice_id)
    try:
        while intent is not None and intent.status == "pending":
            intent = sender.do(intent)
        delivery.sent.append(invoice_id)
    except PaymentError as error:
        _postpone(engine, clock(), invoice_id, error)
        (delivery.failed if isinstance(error, NeedsOperator) else delivery.waiting)[invoice_id] = str(error)
    except sa.exc.DBAPIError:
        raise  # without the database nothing can be sent, and nothing recorded
    except Exception as error:  # one invoice never keeps the others from being sent
        log.exception("invoice not sent", invoice=invoice_id)
        message = f"unexpected {type(error).__name__}: {error}; please report it"
        _postpone(engine, clock(), invoice_id, NeedsOperator(message))
        delivery.failed[invoice_id] = message


def _postpone(engine: sa.Engine, now: int, invoice_id: str, error: PaymentError) -> None:
    with writing(engine) as connection:
        intent = outbox.get(connection, invoice_id)
        assert intent is not None
        pause = min(FIRST_PAUSE_US * 2 ** min(intent.attempts, 20), LONGEST_PAUSE_US)
        outbox.update(
            connection,
            invoice_id,
            status="pending" if isinstance(error, TryAgain) else "failed",
            attempts=intent.attempts + 1,
            generation=intent.generation + isinstance(error, Answered),
            next_attempt_at=now + pause,
            claimed_until=0,
            error=str(error),
        )


class _Sender:
    """The steps of one invoice, claimed by this process. A step that was begun before looks for what exists
    at Stripe before it asks for anything: the answer to the earlier attempt may have been lost."""

    def __init__(
        self, engine: sa.Engine, gateway: StripeGateway, clock: Clock, terms: Terms, invoice_id: str
    ) -> None:
        self._engine = engine
        self._gateway = gateway
        self._clock = clock
        self._terms = terms
        self._id = invoice_id

    def do(self, intent: Intent) -> Intent | None:
        """Do the next step and store its result; answers the intent as it stands then."""
        now = self._clock()
        with writing(self._engine) as connection:
            invoice = invoices.get(connection, self._id)
            since = intent.step_since or now
            outbox.update(connection, self._id, claimed_until=now + CLAIM_US, step_since=since)
        assert invoice is not None
        assert invoice.number is not None, "only a numbered invoice is sent"
        step = {
            "customer": self._customer,
            "create": self._create,
            "lines": self._lines,
            "finalize": self._finalize,
        }[intent.step]
        try:
            step(invoice, intent)
        except Missing:
            if invoice.stripe_invoice_id is None or invoice.status != "finalized":
                raise
            return self._begin_again(intent)
        return self._advance(intent)

    def _begin_again(self, intent: Intent) -> Intent | None:
        """The draft was deleted at Stripe: make another, with keys that Stripe has no answers for."""
        with writing(self._engine) as connection:
            invoices.update(connection, self._id, stripe_invoice_id=None, stripe_status=None)
            outbox.update(connection, self._id, step="create", step_since=0, generation=intent.generation + 1)
            return outbox.get(connection, self._id)

    def _advance(self, intent: Intent) -> Intent | None:
        place = outbox.STEPS.index(intent.step) + 1
        last = place == len(outbox.STEPS)
        with writing(self._engine) as connection:
            outbox.update(
                connection,
                self._id,
                step=intent.step if last else outbox.STEPS[place],
                status="done" if last else "pending",
                step_since=0,
                error=None,
            )
            return outbox.get(connection, self._id)

    def _customer(self, invoice: Invoice, intent: Intent) -> None:
        with reading(self._engine) as connection:
            account = accounts.get(connection, invoice.account)
        assert account is not None
        if account.stripe_customer_id is not None:
            return
        customer = None
        if intent.step_since:
            customer = self._gateway.find_customer(account.id, (intent.step_since - HOUR_US) // SECOND_US)
        if customer is None:
            key = f"customer:{account.id}:{account.created_at}:{intent.generation}"
            customer = self._gateway.create_customer(account.id, account.name, account.email, key)
        with writing(self._engine) as connection:
            accounts.set_stripe_customer(connection, account.id, customer)

    def _create(self, invoice: Invoice, intent: Intent) -> None:
        if invoice.stripe_invoice_id is not None:
            return
        customer = self._customer_of(invoice)
        made = self._gateway.find_invoice(customer, invoice.id) if intent.step_since else None
        if made is None:
            made = self._gateway.create_invoice(
                customer=customer,
                invoice_id=invoice.id,
                number=invoice.number or "",
                currency=invoice.currency,
                description=f"Task runs in {invoice.month}",
                charge_automatically=self._gateway.has_payment_method(customer),
                days_until_due=self._terms.days_until_due,
                key=self._key(intent),
            )
        with writing(self._engine) as connection:
            invoices.update(connection, invoice.id, stripe_invoice_id=made.id, stripe_status=made.status)

    def _lines(self, invoice: Invoice, intent: Intent) -> None:
        stripe_id = _stripe_id(invoice)
        if intent.step_since and self._gateway.get_lines(stripe_id):
            return  # they arrived; the next step compares them
        self._gateway.add_lines(stripe_id, invoice.lines, self._key(intent))

    def _finalize(self, invoice: Invoice, intent: Intent) -> None:
        stripe_id = _stripe_id(invoice)
        held = self._gateway.get_invoice(stripe_id)
        self._compare(invoice, held)
        if held.status == "draft":
            held = self._gateway.finalize_invoice(stripe_id, self._key(intent))
        apply(self._engine, invoice.id, held)

    def _key(self, intent: Intent) -> str:
        return f"invoice:{self._id}:{intent.step}:{intent.generation}"

    def _compare(self, invoice: Invoice, held: StripeInvoice) -> None:
        """Nothing is finalized that is not ours to the cent. Raises NeedsOperator."""
        ours = [(line.description, line.amount) for line in invoice.lines]
        theirs = [(line.description, line.amount) for line in self._gateway.get_lines(held.id)]
        problems = []
        if sorted(theirs) != sorted(ours):
            problems.append(f"its {len(theirs)} lines are not our {len(ours)}")
        if held.total_excluding_tax != invoice.total:
            problems.append(f"its total is {held.total_excluding_tax}, ours {invoice.total}")
        if held.currency != invoice.currency:
            problems.append(f"its currency is {held.currency}, ours {invoice.currency}")
        if held.number != invoice.number:
            problems.append(f"its number is {held.number}, ours {invoice.number}")
        if problems:
            raise NeedsOperator(
                f"Stripe's invoice {held.id} differs from {invoice.number}: {'; '.join(problems)}; "
                "correct or delete the draft at Stripe, then run the month again"
            )

    def _customer_of(self, invoice: Invoice) -> str:
        with reading(self._engine) as connection:
            account = accounts.get(connection, invoice.account)
        assert account is not None
        assert account.stripe_customer_id is not None, "the customer step comes first"
        return account.stripe_customer_id


def _stripe_id(invoice: Invoice) -> str:
    assert invoice.stripe_invoice_id is not None, "the create step comes first"
    return invoice.stripe_invoice_id

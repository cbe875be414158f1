"""What the work on an intent needs, and how a step of it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from billing.repository import accounts, invoices, outbox
from billing.repository.accounts import Account
from billing.repository.invoices import Invoice
from billing.repository.outbox import Intent
from metering.database import reading, writing
from metering.period import SECOND_US

if TYPE_CHECKING:
    from billing.payments.stripe_gateway import StripeGateway

# While one process works on a step, others leave its intent alone for this long: longer than the SDK takes
# with all its attempts.
CLAIM_US = 90 * SECOND_US

Clock = Callable[[], int]


def go_on(invoice: Invoice) -> str:
    """The command that makes due again what failed at Stripe for an invoice."""
    return "billing contracts invoice" if invoice.kind == "contract" else f"billing run {invoice.month}"


@dataclass(frozen=True, slots=True)
class Desk:
    """Our books, Stripe, and the time."""

    engine: sa.Engine
    gateway: StripeGateway
    clock: Clock

    def claim(self, intent_id: str) -> Intent | None:
        """Take an intent for this process; None if it is not to be done now, or not by this one."""
        now = self.clock()
        with writing(self.engine) as connection:
            return outbox.claim(connection, intent_id, now, now + CLAIM_US)

    def begin(self, intent: Intent) -> tuple[Intent, Invoice] | None:
        """Store that a step is begun, before its first call; answers the intent as it was before, with a
        `step_since` of 0 if this is the first attempt. None if there is nothing to do any more."""
        now = self.clock()
        with writing(self.engine) as connection:
            held = outbox.begin(connection, intent.id, now, now + CLAIM_US)
            invoice = invoices.get(connection, intent.invoice_id)
        assert invoice is not None, "an intent has its invoice"
        return None if held is None else (held, invoice)

    def account(self, invoice: Invoice) -> Account:
        with reading(self.engine) as connection:
            account = accounts.get(connection, invoice.account)
        assert account is not None, "accounts are never removed"
        return account

    def how_to_go_on(self, intent: Intent) -> str:
        """The command that makes an intent due again once an operator has put right what was in its way."""
        with reading(self.engine) as connection:
            invoice = invoices.get(connection, intent.invoice_id)
        assert invoice is not None, "an intent has its invoice"
        return go_on(invoice)

    def intent(self, intent_id: str) -> Intent | None:
        with reading(self.engine) as connection:
            return outbox.get(connection, intent_id)

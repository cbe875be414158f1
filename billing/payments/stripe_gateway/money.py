"""What became of an invoice's money: attempts to collect it, refunds, disputes, and the events about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from billing.payments.stripe_gateway.connection import Connection, translated
from billing.payments.stripe_gateway.webhook import event_of
from billing.payments.stripe_objects import (
    PaymentFailure,
    StripeRecord,
    WebhookEvent,
    dispute_of,
    failure_of,
    noted_of,
    refund_of,
)

# Stripe takes that many kinds of events in one question.
TYPES_A_CALL = 20


class MoneyCalls(Connection):
    """Payments, and what takes them back."""

    def payment_failure(self, stripe_invoice_id: str) -> PaymentFailure | None:
        """Why the last attempt to collect an invoice failed; None if none did, or Stripe does not say."""
        with translated():
            page = self._client.v1.invoice_payments.list(
                {"invoice": stripe_invoice_id, "expand": ["data.payment.payment_intent"], "limit": 100}
            )
            intents = [each.payment.payment_intent for each in page.auto_paging_iter()]
        failures = [failure_of(each) for each in intents if each is not None and not isinstance(each, str)]
        return next((each for each in failures if each is not None), None)

    def invoices_paid_by(self, payment_intent: str) -> list[str]:
        """The ids of the invoices that a payment was for."""
        payment: Any = {"type": "payment_intent", "payment_intent": payment_intent}
        with translated():
            page = self._client.v1.invoice_payments.list({"payment": payment, "limit": 100})
            return [_id_of(each.invoice) for each in page.auto_paging_iter()]

    def reversals(self, stripe_invoice_id: str) -> list[StripeRecord]:
        """The refunds and disputes of an invoice's payments."""
        with translated():
            page = self._client.v1.invoice_payments.list({"invoice": stripe_invoice_id, "limit": 100})
            paid = [each.payment.payment_intent for each in page.auto_paging_iter() if each.status == "paid"]
            found: list[StripeRecord] = []
            for intent in paid:
                if intent is None:
                    continue  # paid outside of Stripe
                of: Any = {"payment_intent": _id_of(intent), "limit": 100}
                found += map(refund_of, self._client.v1.refunds.list(of).auto_paging_iter())
                found += map(dispute_of, self._client.v1.disputes.list(of).auto_paging_iter())
        return found

    def credit_notes_of(self, stripe_invoice_id: str) -> list[StripeRecord]:
        """All credit notes of an invoice, whoever gave them."""
        with translated():
            page = self._client.v1.credit_notes.list({"invoice": stripe_invoice_id, "limit": 100})
            return [noted_of(each) for each in page.auto_paging_iter()]

    def events_since(self, since: int, types: Sequence[str]) -> Iterator[WebhookEvent]:
        """The events of these types that happened at or after `since` (unix seconds), newest first. Stripe
        keeps them for 30 days."""
        asked: Any = {"created": {"gte": since}, "types": list(types[:TYPES_A_CALL]), "limit": 100}
        assert len(types) <= TYPES_A_CALL, "more types need more questions"
        with translated():
            for each in self._client.v1.events.list(asked).auto_paging_iter():
                yield event_of(each.to_dict())


def _id_of(found: Any) -> str:
    return found if isinstance(found, str) else str(found.id)

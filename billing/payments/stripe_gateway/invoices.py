"""Invoices at Stripe: from an empty draft to one that is collected, or void."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from billing.payments.stripe_gateway.connection import Connection, translated
from billing.payments.stripe_objects import StripeInvoice, StripeLine, invoice_of, line_of, metadata_of

# Stripe takes that many lines in one call.
LINES_A_CALL = 250


class InvoiceCalls(Connection):
    """Invoices and their lines."""

    def create_invoice(
        self,
        *,
        customer: str,
        invoice_id: str,
        number: str,
        currency: str,
        description: str,
        purchase_order: str,
        charge_automatically: bool,
        days_until_due: int,
        key: str,
    ) -> StripeInvoice:
        """An empty draft with our number, which stays a draft until we finalize it."""
        params: Any = {
            "customer": customer,
            "number": number,
            "currency": currency.lower(),
            "description": description,
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "metadata": {"invoice_id": invoice_id},
            "collection_method": "charge_automatically" if charge_automatically else "send_invoice",
        }
        if not charge_automatically:
            params["days_until_due"] = days_until_due
        if self.tax.automatic:
            params["automatic_tax"] = {"enabled": True}
        if self.tax.rates:
            params["default_tax_rates"] = list(self.tax.rates)
        if purchase_order:
            params["custom_fields"] = [{"name": "Purchase order", "value": purchase_order}]
        with translated():
            return invoice_of(self._client.v1.invoices.create(params, {"idempotency_key": key}))

    def add_lines(self, stripe_invoice_id: str, lines: Sequence[StripeLine], key: str) -> None:
        """Put lines on a draft, in their order."""
        for start in range(0, len(lines), LINES_A_CALL):
            part = lines[start : start + LINES_A_CALL]
            params: Any = {
                "lines": [{"description": line.description, "amount": line.amount} for line in part]
            }
            with translated():
                self._client.v1.invoices.add_lines(
                    stripe_invoice_id, params, {"idempotency_key": f"{key}:{start}"}
                )

    def get_invoice(self, stripe_invoice_id: str) -> StripeInvoice:
        with translated():
            return invoice_of(self._client.v1.invoices.retrieve(stripe_invoice_id))

    def get_lines(self, stripe_invoice_id: str) -> list[StripeLine]:
        """All lines of an invoice."""
        with translated():
            page = self._client.v1.invoices.line_items.list(stripe_invoice_id, {"limit": 100})
            return [line_of(line) for line in page.auto_paging_iter()]

    def find_invoice(self, customer: str, invoice_id: str) -> StripeInvoice | None:
        """The customer's invoice that carries our id, whatever we remember. By listing, never by search,
        which lags behind."""
        with translated():
            page = self._client.v1.invoices.list({"customer": customer, "limit": 100})
            for each in page.auto_paging_iter():
                if metadata_of(each).get("invoice_id") == invoice_id:
                    return invoice_of(each)
        return None

    def list_invoices(self, since: int, customer: str | None = None) -> Iterator[StripeInvoice]:
        """The invoices made at or after `since` (unix seconds), of one customer or of all, newest first, a
        hundred a call."""
        params: Any = {"created": {"gte": since}, "limit": 100}
        if customer is not None:
            params["customer"] = customer
        with translated():
            for each in self._client.v1.invoices.list(params).auto_paging_iter():
                yield invoice_of(each)

    def finalize_invoice(self, stripe_invoice_id: str, key: str) -> StripeInvoice:
        """From draft to open (or paid); from here on Stripe collects."""
        with translated():
            return invoice_of(
                self._client.v1.invoices.finalize_invoice(
                    stripe_invoice_id, {"auto_advance": True}, {"idempotency_key": key}
                )
            )

    def delete_draft(self, stripe_invoice_id: str) -> None:
        """Only a draft can be deleted. Raises Missing if it is not there any more."""
        with translated():
            self._client.v1.invoices.delete(stripe_invoice_id)

    def void_invoice(self, stripe_invoice_id: str, key: str) -> StripeInvoice:
        """From open or uncollectible to void: nothing is due any more."""
        with translated():
            return invoice_of(
                self._client.v1.invoices.void_invoice(stripe_invoice_id, {}, {"idempotency_key": key})
            )

"""Credit notes at Stripe."""

from __future__ import annotations

from typing import Any

from billing.payments.stripe_gateway.connection import Connection, translated
from billing.payments.stripe_objects import StripeCreditNote, credit_note_of, metadata_of
from billing.repository.credit_notes import CreditNote


class CreditNoteCalls(Connection):
    """Credit notes on invoices."""

    def create_credit_note(
        self, stripe_invoice_id: str, note: CreditNote, *, given_back: int, key: str
    ) -> StripeCreditNote:
        """A credit note that takes what is due down by its amount less `given_back`, the part that was paid
        already: that is credited outside of Stripe, in our ledger."""
        params: Any = {
            "invoice": stripe_invoice_id,
            "amount": note.amount,
            "memo": f"{note.number}: {note.reason}",
            "metadata": {"credit_note_id": note.id, "number": note.number},
        }
        if given_back:
            params["out_of_band_amount"] = given_back
        with translated():
            return credit_note_of(self._client.v1.credit_notes.create(params, {"idempotency_key": key}))

    def get_credit_note(self, stripe_credit_note_id: str) -> StripeCreditNote:
        with translated():
            return credit_note_of(self._client.v1.credit_notes.retrieve(stripe_credit_note_id))

    def find_credit_note(self, stripe_invoice_id: str, note_id: str) -> StripeCreditNote | None:
        """The invoice's credit note that carries our id, whatever we remember."""
        with translated():
            page = self._client.v1.credit_notes.list({"invoice": stripe_invoice_id, "limit": 100})
            for each in page.auto_paging_iter():
                if metadata_of(each).get("credit_note_id") == note_id:
                    return credit_note_of(each)
        return None

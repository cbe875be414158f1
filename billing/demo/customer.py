"""The customer's side, played at the Stripe sandbox: a card is added and an invoice is paid.

Nothing here is of the service: it is what happens at Stripe, over its API. The service learns of it as in
production, by a signed webhook, after which it fetches the invoice.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from billing.payments.stripe_sandbox import RunningSandbox


class CustomerAtStripe:
    """Acts for a customer. A context manager: it holds a connection."""

    def __init__(self, running: RunningSandbox) -> None:
        self._http = httpx.Client(
            base_url=running.url, auth=(running.api_key, ""), trust_env=False, timeout=20
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._http.close()

    def add_card(self, customer: str, card: str = "pm_card_visa") -> None:
        """From now on this card is charged, unless told otherwise."""
        method = self._post(f"/v1/payment_methods/{card}/attach", {"customer": customer})
        self._post(f"/v1/customers/{customer}", {"invoice_settings[default_payment_method]": method["id"]})

    def pay(self, stripe_invoice_id: str) -> None:
        self._post(f"/v1/invoices/{stripe_invoice_id}/pay", {})

    def _post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        answer = self._http.post(path, data=form)
        answer.raise_for_status()
        held: dict[str, Any] = answer.json()
        return held

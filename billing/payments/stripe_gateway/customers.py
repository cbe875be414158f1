"""Customers at Stripe: each stands for an account of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.payments.stripe_gateway.connection import Connection, translated
from billing.payments.stripe_objects import StripeCustomer, customer_of, metadata_of

ADDRESS_PARTS = ("line1", "line2", "city", "postal_code", "state", "country")


class CustomerCalls(Connection):
    """Customers, their tax ids and payment methods."""

    def create_customer(self, account: str, holds: Mapping[str, Any], key: str) -> str:
        """The id of a new customer that stands for our account. `holds`: its `name`, `email`, `address` (the
        parts that are given), `tax_exempt` and `tax_id` (`type` and `value`, or None)."""
        params: Any = {"name": holds["name"], "metadata": {"account": account}}
        params |= {field: holds[field] for field in ("email", "address") if holds[field]}
        if holds["tax_exempt"] != "none":
            params["tax_exempt"] = holds["tax_exempt"]
        if holds["tax_id"]:
            params["tax_id_data"] = [holds["tax_id"]]
        with translated():
            return self._client.v1.customers.create(params, {"idempotency_key": key}).id

    def update_customer(self, customer: str, changes: Mapping[str, Any], key: str) -> None:
        """Give a customer other values of some of the fields that it was made with; empty ones unset."""
        params: Any = {field: changes[field] for field in ("name", "email", "tax_exempt") if field in changes}
        if "address" in changes:
            # All parts: those that are not given any more are unset.
            params["address"] = {part: changes["address"].get(part, "") for part in ADDRESS_PARTS}
        with translated():
            if params:
                self._client.v1.customers.update(customer, params, {"idempotency_key": key})
            if "tax_id" in changes:
                self._set_tax_id(customer, changes["tax_id"], key)

    def _set_tax_id(self, customer: str, wanted: Mapping[str, str] | None, key: str) -> None:
        """One tax id or none: it is there before others go."""
        held = list(self._client.v1.customers.tax_ids.list(customer, {"limit": 100}).auto_paging_iter())
        same = [each for each in held if wanted == {"type": each.type, "value": each.value}]
        if wanted and not same:
            params: Any = dict(wanted)
            self._client.v1.customers.tax_ids.create(customer, params, {"idempotency_key": f"{key}:tax_id"})
        for each in held:
            if each not in same[:1]:
                self._client.v1.customers.tax_ids.delete(customer, each.id)

    def find_customer(self, account: str, since: int) -> str | None:
        """A customer made for our account at or after `since` (unix seconds), whatever we remember."""
        with translated():
            page = self._client.v1.customers.list({"created": {"gte": since}, "limit": 100})
            for each in page.auto_paging_iter():
                if metadata_of(each).get("account") == account:
                    return each.id
        return None

    def get_customer(self, customer: str) -> StripeCustomer:
        """As Stripe has it, deleted ones too. Raises Missing."""
        with translated():
            return customer_of(self._client.v1.customers.retrieve(customer))

    def claim_customer(self, customer: str, account: str, key: str) -> None:
        """Write down at Stripe which account of ours a customer stands for."""
        with translated():
            self._client.v1.customers.update(
                customer, {"metadata": {"account": account}}, {"idempotency_key": key}
            )

    def has_payment_method(self, customer: str) -> bool:
        """Whether invoices of this customer can be charged automatically."""
        with translated():
            found = self._client.v1.customers.retrieve(customer)
            settings = getattr(found, "invoice_settings", None)
            source = getattr(found, "default_source", None)
            return bool(getattr(settings, "default_payment_method", None) or source)

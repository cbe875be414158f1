"""Every request of whole months, as the sandbox saw them, against Stripe's own description of its API: no
unknown route, method or parameter, none missing, none of a wrong type, no value that is none of Stripe's, no
text that is too long. What the sandbox answered does not matter."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date

import pytest
import sqlalchemy as sa
import stripe

from billing.accounts import add_account, update_account
from billing.contract_invoices import invoice_contracts
from billing.contracts import load_contract_text
from billing.credit_notes import credit_note
from billing.credits import add_credit
from billing.invoices import list_invoices, show_invoice
from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import TEST_KEY, Fault, FaultKind, FaultSchedule, StripeSandbox
from billing.payments.tax import Tax
from billing.payments.webhooks import catch_up
from billing.reconciliation.operation import reconcile
from billing.repository.invoices import Invoice
from billing.voids import void_invoice
from metering.period import HOUR_US, SECOND_US
from tests.billing.months import NOVEMBER, bill_all, dollars
from tests.billing.payments.stripe_description import request_mistakes, template_of
from tests.conftest import NewDatabase
from tests.events import runs
from tests.faults.in_process import Wire
from tests.world import OCTOBER, World

# As long as we take them, and of characters that are more than one byte.
LONG = "ä" * 200
LONG_ID = "a" * 64
CONTRACT = json.dumps(
    {
        "id": "c" * 64,
        "account": "contract",
        "start": "2026-11-01",
        "end": "2027-11-01",
        "plan": "dollar",
        "currency": "USD",
        "instalments": "monthly",
        "grants": [{"id": "g1", "runs": 1200, "price": "1200.00"}],
        "services": [
            {"description": f"{place:03d}{LONG[:197]}", "price": "1.00", "due_on": "2026-11-01"}
            for place in range(120)
        ],
    }
)
# Every route that a month may take.
ROUTES = {
    "POST /v1/customers",
    "GET /v1/customers",
    "GET /v1/customers/{customer}",
    "POST /v1/customers/{customer}",
    "GET /v1/customers/{customer}/tax_ids",
    "POST /v1/customers/{customer}/tax_ids",
    "DELETE /v1/customers/{customer}/tax_ids/{id}",
    "POST /v1/invoices",
    "GET /v1/invoices",
    "GET /v1/invoices/{invoice}",
    "DELETE /v1/invoices/{invoice}",
    "POST /v1/invoices/{invoice}/add_lines",
    "GET /v1/invoices/{invoice}/lines",
    "POST /v1/invoices/{invoice}/finalize",
    "POST /v1/invoices/{invoice}/void",
    "POST /v1/credit_notes",
    "GET /v1/credit_notes",
    "GET /v1/events",
    "GET /v1/invoice_payments",
    "GET /v1/refunds",
    "GET /v1/disputes",
}


class Months:
    """Two months of customers of every kind, through the sandbox, with answers that are lost."""

    def __init__(self, engine: sa.Engine, retries: int, tax: Tax) -> None:
        self.sandbox = StripeSandbox(
            clock=lambda: self.world.instant // SECOND_US, missing_email="refused", seed="requests"
        )
        self.sandbox.faults = FaultSchedule(
            [
                Fault("POST", "/v1/customers", nth=1, kind=FaultKind.APPLIED_THEN_500),
                Fault("POST", "/v1/invoices", nth=2, kind=FaultKind.APPLIED_THEN_500),
                Fault("POST", "/v1/invoices/{invoice}/add_lines", nth=2, kind=FaultKind.APPLIED_THEN_500),
                Fault("POST", "/v1/credit_notes", nth=1, kind=FaultKind.APPLIED_THEN_500),
                Fault("GET", "/v1/invoices/{invoice}", nth=4, kind=FaultKind.WRONG_TOTAL),
            ]
        )
        wire = Wire(self.sandbox)
        self.gateway = StripeGateway(TEST_KEY, wire=wire, retries=retries, tax=tax)
        self.client = stripe.StripeClient(TEST_KEY, http_client=wire, max_network_retries=0)
        self.world: World = dollars(engine, self.gateway, email="acme@example.com")
        for name in ("plain", "charged", "contract"):
            self.world.account(name, plan="dollar", email=f"{name}@example.com")
            self.world.send(runs(5, account=name, prefix=name))
        for name in ("acme", "plain", "charged", "contract"):
            update_account(engine, name, now=self.world.instant, country="DE")
        self.world.send(runs(9))
        self._add_the_longest()

    def _add_the_longest(self) -> None:
        now = self.world.instant
        add_account(
            self.world.engine,
            LONG_ID,
            now=now,
            currency="USD",
            plan="dollar",
            billing_from=OCTOBER,
            name=LONG,
            email=f"{'a' * 60}@{'b' * 120}.example",
        )
        self._details(LONG_ID, LONG, "eu_vat")
        update_account(
            self.world.engine, LONG_ID, now=self.world.instant, purchase_order="ö" * 140, days_until_due=365
        )
        update_account(self.world.engine, LONG_ID, now=self.world.instant, tax_exempt="reverse")
        add_credit(self.world.engine, LONG_ID, "1.00", LONG, by="ann", now=now)
        self.world.send(runs(3, account=LONG_ID, prefix="long"))

    def _details(self, account: str, text: str, tax_id_type: str) -> None:
        parts = dict.fromkeys(("line1", "line2", "city", "postal_code", "state", "tax_id"), text)
        update_account(
            self.world.engine, account, now=self.world.instant, **parts, country="DE", tax_id_type=tax_id_type
        )

    def play(self) -> None:
        engine = self.world.engine
        load_contract_text(engine, CONTRACT, "contract.json", by="ann", now=self.world.instant)
        bill_all(self.world)
        self._rest()
        # Compared with a total that is not ours, it is a draft at Stripe still.
        (stuck,) = list_invoices(engine, status="finalized")
        self._void(stuck)
        self._note(list_invoices(engine, status="open")[0], "2.00")
        update_account(engine, "charged", now=self.world.instant, collection="charge", email="")
        self._details("plain", "Street 1", "ch_vat")
        self._details(LONG_ID, "Street 2", "ch_vat")
        update_account(
            engine, LONG_ID, now=self.world.instant, tax_id="", tax_id_type="", tax_exempt="exempt"
        )
        for name in ("plain", "charged", "acme", LONG_ID):
            self.world.send(runs(2, account=name, day="2026-11-03", prefix=f"{name}-nov"))
        invoice_contracts(engine, date(2026, 11, 2), now=self.world.instant)
        self.world.service.send_contracts()
        later = {each.account: each for each in bill_all(self.world, NOVEMBER)}
        self._rest()
        self._void(later["plain"])
        self._note(later["acme"], "1.00")
        self._rest()
        self._pay_and_dispute(later["acme"])
        catch_up(engine, self.gateway, 0, self.world.instant)
        reconcile(self.world.service, NOVEMBER, fix=True)

    def _pay_and_dispute(self, invoice: Invoice) -> None:
        """The customer pays at the second attempt; its bank wants the money back: no requests of ours."""
        ours = list(self.sandbox.log)
        stripe_id = show_invoice(self.world.engine, invoice.id).stripe_invoice_id or ""
        customer = str(self.client.v1.invoices.retrieve(stripe_id).customer)
        for card in ("pm_card_chargeCustomerFail", "pm_card_visa"):
            method = self.client.v1.payment_methods.attach(card, {"customer": customer})
            with suppress(stripe.CardError):
                self.client.v1.invoices.pay(stripe_id, {"payment_method": method.id})
        self.sandbox.log.clear()
        self.sandbox.log.extend(ours)
        self.sandbox.open_dispute(self.sandbox.state.charges.order[-1])

    def _note(self, invoice: Invoice, amount: str) -> None:
        now = self.world.instant
        credit_note(self.world.engine, invoice.id, amount, "goodwill", LONG, by="ann", now=now)
        self.world.service.send_invoice(invoice.id)

    def _void(self, invoice: Invoice) -> None:
        void_invoice(self.world.engine, invoice.id, LONG, by="ann", now=self.world.instant)
        self.world.service.send_invoice(invoice.id)

    def _rest(self) -> None:
        """Until what waits for its next attempt had it."""
        for _ in range(4):
            self.world.instant += HOUR_US
            self.world.service.send_due()


@pytest.mark.parametrize(
    ("retries", "tax"), [(0, Tax()), (2, Tax()), (0, Tax(automatic=True)), (2, Tax(rates=("txr_1", "txr_2")))]
)
def test_every_request_of_two_months_is_one_of_stripes(
    sqlite_databases: NewDatabase, retries: int, tax: Tax
) -> None:
    months = Months(sqlite_databases(), retries, tax)
    try:
        months.play()
    finally:
        for request in months.sandbox.log:
            found = request_mistakes(request.method, request.path, dict(request.params))
            assert found == [], f"{request.method} {request.path}"
    log = months.sandbox.log
    assert {f"{each.method} {template_of(each.method, each.path)}" for each in log} == ROUTES


def test_a_request_that_is_not_stripes_is_found() -> None:
    assert request_mistakes("POST", "/v1/invoices/in_1/finalize", {"auto_advance": "true"}) == []
    for method, path, given, found in (
        ("PUT", "/v1/invoices", {}, "PUT /v1/invoices: Stripe has no such route"),
        ("GET", "/v1/invoices/in_1/rows", {}, "GET /v1/invoices/in_1/rows: Stripe has no such route"),
        ("GET", "/v1/invoices", {"customers": "cus_1"}, "[customers]: unknown"),
        ("GET", "/v1/customers", {"limit": "many"}, "[limit]: 'many' is no integer"),
        ("POST", "/v1/credit_notes", {"amount": "1"}, "[invoice]: missing"),
        ("POST", "/v1/invoices", {"number": "1" * 27}, "[number]: longer than 26"),
        ("POST", "/v1/invoices", {"currency": "USD"}, "[currency]: 'USD' is no currency"),
        ("POST", "/v1/invoices", {"metadata": {"a": "b" * 501}}, "[metadata][a]: metadata that is too long"),
    ):
        assert request_mistakes(method, path, given) == [found]

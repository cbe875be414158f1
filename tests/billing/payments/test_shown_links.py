"""Where customers are sent to pay, if somebody wrote another address into the database: nowhere."""

from __future__ import annotations

import io
from typing import Literal

import pypdf
import pytest
import sqlalchemy as sa

from billing.app import make_service
from billing.invoices import show_invoice
from billing.notification_tables import events
from billing.notifications.endpoints import add_endpoint
from billing.notifications.telling import tell_invoices
from billing.reporting.everything import prove
from billing.reporting.invoice_pdf import invoice_pdf
from billing.stripe_links import at_stripe
from billing.tables import invoices
from metering.database import writing
from metering.settings import Settings
from tests.billing.api.client import running
from tests.billing.pages.test_pages import ask
from tests.billing.payments.till import Till

GOOD = "https://invoice.stripe.com/i/acct_1032D82eZvKYlo2C/test_YWNjdF8x0200wpYOWgBE?s=ap"
WRONG = [
    "https://evil.example/pay",
    "http://invoice.stripe.com/i/1",
    "https://stripe.com.evil.example/i",
    "https://evilstripe.com/i",
    "https://invoice.stripe.com@evil.example/i",
    "https://evil.example\\@stripe.com/i",
    "https://invoice.stripe.com\\.evil.example/i",
    "https://invoice.stripe.com:8443/i",
    "https://invoice.stripe.com",
    "https://invoice.stripe.com/i\n",
    'https://invoice.stripe.com/"onclick="',
    "//evil.example/https://invoice.stripe.com/i",
    "javascript:alert('https://stripe.com/')",
    "https://invoice.ѕtripe.com/i",
    "",
]


@pytest.mark.parametrize("url", [GOOD, "https://stripe.com/i", "https://pay.stripe.com/invoice/a/b/pdf?s=ap"])
def test_addresses_of_stripe(url: str) -> None:
    assert at_stripe(url)


@pytest.mark.parametrize("url", [*WRONG, None, 5, b"https://invoice.stripe.com/i"])
def test_addresses_of_others(url: object) -> None:
    assert not at_stripe(url)
    assert not at_stripe(url, "http://127.0.0.1:12111")


def test_addresses_of_a_stand_in() -> None:
    base = "http://127.0.0.1:12111/"
    assert at_stripe("http://127.0.0.1:12111/pages/1", base) and at_stripe("http://127.0.0.1:80/i", base)
    assert at_stripe(GOOD, base)
    assert not at_stripe("http://127.0.0.1.evil.example/i", base)
    assert not at_stripe("http://127.0.0.1@evil.example/i", base)
    assert not at_stripe("https://127.0.0.1/i", base)
    assert not at_stripe("http://127.0.0.1:12111/i")
    assert at_stripe("https://stripe.test/i", "https://stripe.test")
    assert not at_stripe("https://stripe-test/i", "https://stripe.test")


def rewrite(till: Till, page: str, pdf: str) -> None:
    """Behind the service's back."""
    with till.world.engine.begin() as connection:
        mine = invoices.update().where(invoices.c.id == till.id)
        connection.execute(mine.values(hosted_invoice_url=page, invoice_pdf=pdf))


def shown(till: Till, happened: Literal["finalized", "paid"]) -> dict[str, str]:
    """All that a customer and an operator are shown of the invoice, by door."""
    world = till.world
    found = {}
    with running(world) as client:
        for name in ("", "invoices/2026-10-000001", "invoices/2026-10-000001/invoice.json"):
            found[f"page {name}"] = ask(client, name).text
        for name in ("invoices/2026-10-000001", "invoices", "accounts/acme/summary"):
            found[name] = client.get(f"/v1/{name}").text
    made = invoice_pdf(world.engine, world.service.settings, till.id, world.instant)
    reader = pypdf.PdfReader(io.BytesIO(made.content))
    found["pdf"] = "".join(page.extract_text() + repr(page.get("/Annots")) for page in reader.pages)
    with writing(world.engine) as connection:
        tell_invoices(connection, happened, [show_invoice(world.engine, till.id)], world.instant)
    with world.engine.connect() as connection:
        found["told"] = str(
            connection.execute(sa.select(events).where(events.c.type == f"invoice.{happened}")).one()
        )
    return found


@pytest.mark.behind_the_back
def test_what_leads_elsewhere_is_shown_by_no_door_and_found(engine: sa.Engine) -> None:
    till = Till(engine, quantity=100_000)
    add_endpoint(engine, "https://x.example/h", account=None, private=True, by="operator", now=0)
    world = till.world
    made = till.invoice
    assert made.hosted_invoice_url and made.invoice_pdf
    good = shown(till, "finalized")
    places = {door for door, text in good.items() if "invoice.stripe.com" in text}
    assert places == {
        "page ", "page invoices/2026-10-000001", "invoices/2026-10-000001", "invoices",
        "accounts/acme/summary", "pdf", "told",
    }  # fmt: skip
    assert prove(engine, world.store).ok
    rewrite(till, "https://evil.example/pay", "https://evil.example/pdf")
    assert not [door for door, text in shown(till, "paid").items() if "evil.example" in text]
    (found,) = prove(engine, world.store).beside
    assert found.subject == made.id
    assert found.says.startswith("invoice 2026-10-000001 leads to a page or a PDF that is not Stripe's")
    assert found.says.endswith("billing reconcile 2026-10 --fix")


@pytest.mark.behind_the_back
@pytest.mark.parametrize("column", ["hosted_invoice_url", "invoice_pdf"])
def test_one_of_the_two_is_enough(engine: sa.Engine, column: str) -> None:
    till = Till(engine)
    with engine.begin() as connection:
        connection.execute(invoices.update().values({column: WRONG[0]}))
    assert len(prove(engine, till.world.store).beside) == 1
    said = till.shown
    assert said[column] is None and said["stripe_invoice_id"] == till.stripe_id


@pytest.mark.behind_the_back
def test_the_pages_of_a_stand_in_are_shown(engine: sa.Engine) -> None:
    till = Till(engine)
    rewrite(till, "http://127.0.0.1:12111/pages/1", GOOD)
    url = engine.url.render_as_string(hide_password=False)
    base = "http://127.0.0.1:12111"
    service = make_service(Settings(_env_file=None, database_url=url, stripe_api_base=base))
    assert show_invoice(service.engine, till.id).hosted_invoice_url == "http://127.0.0.1:12111/pages/1"
    assert prove(service.engine, service.store).ok
    service.engine.dispose()
    assert show_invoice(engine, till.id).hosted_invoice_url is None

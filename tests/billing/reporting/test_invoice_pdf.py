"""The PDF of an invoice, read back: every figure of the invoice is in it."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pypdf
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import update_account
from billing.contract_invoices import invoice_contracts
from billing.contracts import add_contract
from billing.credit_notes import credit_note
from billing.credits import add_credit
from billing.errors import Invalid
from billing.invoices import invoice_data, show_invoice
from billing.pricing.catalogue import PlanVersion
from billing.pricing.contract import Service as ContractService
from billing.pricing.line import Line, LineKind, flat_line
from billing.pricing.money import format_amount
from billing.pricing.rating import rate
from billing.reporting.invoice_document import invoice_document
from billing.reporting.invoice_pdf import InvoicePdf, invoice_pdf, set_document
from billing.repository.invoices import Invoice
from billing.sellers import record_seller, seller_at, seller_of
from metering.period import DAY_US, Month
from metering.settings import Settings
from tests.billing.months import bill, dollars, void
from tests.billing.payments.till import Till
from tests.billing.pricing.contracts import ACME
from tests.billing.pricing.data import STARTER
from tests.conftest import NewDatabase
from tests.events import runs
from tests.examples import share
from tests.world import NOVEMBER_2, OCTOBER, World

SELLER = {
    "seller_name": "Success GmbH",
    "seller_address": "Invalidenstraße 1; 10115 Berlin",
    "seller_tax_id": "DE123456789",
    "seller_email": "billing@success.example",
}


def pages_of(content: bytes) -> list[str]:
    """The text of each page."""
    reader = pypdf.PdfReader(io.BytesIO(content))
    return [page.extract_text() for page in reader.pages]


def squeezed(text: str) -> str:
    """Without spaces: where lines break is the setter's."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFC", text))


def pdf(world: World, invoice: Invoice | str) -> InvoicePdf:
    name = invoice if isinstance(invoice, str) else invoice.id
    return invoice_pdf(world.engine, world.service.settings, name, world.instant)


def text(world: World, invoice: Invoice | str) -> str:
    return "\n".join(pages_of(pdf(world, invoice).content))


def has(shown: str, *wanted: str) -> None:
    for each in wanted:
        assert squeezed(each) in squeezed(shown), each


@pytest.fixture
def world(sqlite_databases: NewDatabase) -> World:
    world = World(sqlite_databases())
    for name, value in SELLER.items():
        setattr(world.service.settings, name, value)
    world.account(email="billing@acme.example")
    return world


def test_all_that_a_finance_department_asks_for(world: World) -> None:
    details: dict[str, Any] = {
        "line1": "Hauptstr. 1", "city": "Łódź", "postal_code": "90-001", "country": "PL",
        "tax_id_type": "eu_vat", "tax_id": "PL1234567890", "purchase_order": "PO-7781",
    }  # fmt: skip
    update_account(world.engine, "acme", now=world.instant, name="Zakłady Ελλάς Кириллица", **details)
    add_credit(world.engine, "acme", "5.00", "the outage of 3 October", by="o", now=world.instant)
    world.send(runs(23_456), runs(1_500, prefix="f", state="FAILED"))
    invoice = bill(world)
    shown = text(world, invoice)
    has(
        shown, "Invoice 2026-10-000001", "Issued 2 November 2026", "From 1 October 2026",
        "To 31 October 2026, UTC", "Success GmbH Invalidenstraße 1 10115 Berlin Tax ID DE123456789",
        "billing@success.example", "Zakłady Ελλάς Кириллица Hauptstr. 1 90-001 Łódź PL",
        "Tax ID PL1234567890", "Purchase order PO-7781", "Plan starter@2021-02", "Page 1 of 1",
        "Task runs 1 to 10,000 (free) 10,000 0 0.00",
        "Task runs 10,001 to 23,456 at 0.0025 USD each 13,456 0.0025 33.64",
        "Account credit: the outage of 3 October -5.00", "Total 28.64", "Left to pay 28.64 USD",
        "10,001 to 100,000 0.0025 13,456 33.64", "10,000,001 and more 0.0003125 0 0.00",
        "Failed ended with an error 1,500", "Total 1,500", str(invoice.run_list_sha256),
        "2026-10-000001-runs.csv", "23,456 runs",
    )  # fmt: skip


def test_what_is_copied_from_it_has_no_hidden_character(world: World) -> None:
    """Also where long words may be broken: a number or an address is copied as it reads."""
    update_account(world.engine, "acme", now=world.instant, name="N" * 200)
    world.send(runs(10))
    shown = text(world, bill(world))
    assert [each for each in shown if not each.isprintable() and each != "\n"] == []
    assert "N" * 10 in shown and "N" * 60 not in shown


def test_who_reads_its_metadata(world: World) -> None:
    world.send(runs(20_000))
    made = pdf(world, bill(world))
    reader = pypdf.PdfReader(io.BytesIO(made.content))
    held = reader.metadata
    assert held is not None
    assert (made.name, made.missing) == ("2026-10-000001.pdf", None)
    assert (held.title, held.author) == ("Invoice 2026-10-000001, acme", "Success GmbH")
    assert held.creation_date is not None and held.creation_date.isoformat()[:10] == "2026-11-02"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
    xmp = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2<" in xmp and "<pdfuaid:part>1<" in xmp


def test_the_same_invoice_is_the_same_file(world: World) -> None:
    world.send(runs(20_000))
    invoice = bill(world)
    first = pdf(world, invoice).content
    world.instant += 100 * DAY_US
    assert pdf(world, invoice).content == first


def test_it_is_from_who_sold_when_it_was_issued(world: World) -> None:
    world.send(runs(20_000), runs(20_000, prefix="n", day="2026-11-03"))
    october = bill(world)
    before = pdf(world, october).content
    world.service.settings.seller_name = "Renamed SE"
    assert pdf(world, october).content == before
    november = bill(world, OCTOBER.next())
    assert "Renamed SE" in text(world, november) and "Success GmbH" not in text(world, november)
    assert pdf(world, october).content == before


def test_a_seller_that_is_set_later_is_that_of_what_was_issued_before(engine: sa.Engine) -> None:
    empty, named = Settings(_env_file=None), Settings(_env_file=None, seller_name="Us")
    record_seller(engine, empty, NOVEMBER_2)
    assert seller_at(engine, empty, NOVEMBER_2).lines == []
    assert seller_at(engine, named, NOVEMBER_2).lines == ["Us"]
    record_seller(engine, named, NOVEMBER_2 + 1)
    record_seller(engine, named, NOVEMBER_2 + 2)
    other = Settings(_env_file=None, seller_name="Others", seller_address="1 Way\nTown")
    record_seller(engine, other, NOVEMBER_2 + 3)
    shown = [seller_at(engine, other, NOVEMBER_2 + later).lines for later in (0, 2, 3)]
    assert shown == [["Us"], ["Us"], ["Others", "1 Way", "Town"]]
    assert seller_at(engine, named, None).lines == ["Us"]


def test_a_seller_that_cannot_be_written_is_named() -> None:
    with pytest.raises(Invalid, match="BILLING_SELLER_NAME must be one line"):
        seller_of(Settings(_env_file=None, seller_name="a\x07b"))


def test_what_is_void_says_so(sqlite_databases: NewDatabase) -> None:
    world = dollars(sqlite_databases())
    world.send(runs(100))
    first = bill(world)
    void(world, first, "made out to the wrong entity")
    again = bill(world)
    shown = text(world, first)
    has(shown, "VOID", "nothing is to be paid for it: made out to the wrong entity",
        "2026-10-000002 has taken its place.")  # fmt: skip
    assert "Left to pay" not in shown
    has(text(world, again), "In place of 2026-10-000001, which is void.", "Left to pay 100.00 USD")


def test_a_draft_is_not_to_be_paid(world: World) -> None:
    world.send(runs(20_000))
    world.instant = OCTOBER.end
    (draft,) = world.service.run_month(OCTOBER, early=True).invoices
    has(text(world, draft.id), "DRAFT", "This is a draft: it has no number yet", "Draft of an invoice")


def test_a_total_of_zero(world: World) -> None:
    world.send(runs(10))
    shown = text(world, bill(world))
    has(shown, "Paid 0.00 USD", "Task runs 1 to 10 (free) 10 0 0.00", "Total 0.00")


def test_what_stripe_says(sqlite_databases: NewDatabase) -> None:
    """The tax that it added, where to pay, and what was paid."""
    till = Till(sqlite_databases(), quantity=100_000)
    world = till.world
    shown = text(world, till.invoice)
    has(shown, "Pay at", str(till.invoice.hosted_invoice_url), "Left to pay 225.00 USD", "Due by")
    till.pay()
    till.deliver()
    has(text(world, till.invoice), "Paid 225.00 USD")
    assert "Pay at" not in text(world, till.invoice)


def test_tax_that_stripe_added(sqlite_databases: NewDatabase) -> None:
    world = dollars(sqlite_databases())
    world.send(runs(100))
    invoice = bill(world)
    data: Any = invoice_data(world.engine, invoice, world.instant)
    data["collection"] = {"tax": 1900, "amount_remaining": 11_900, "due_at": "2026-12-02T00:00:00Z"}
    shown = read(replace(invoice, status="open"), data)
    has(shown, "Total 100.00", "Tax, added by Stripe 19.00 USD", "Total with tax 119.00 USD",
        "Left to pay 119.00 USD", "Due by 2 December 2026")  # fmt: skip
    data["collection"]["tax"] = 0
    assert "Tax," not in read(replace(invoice, status="open"), data)


def test_the_tax_of_an_invoice_is_kept(sqlite_databases: NewDatabase) -> None:
    till = Till(sqlite_databases(), quantity=100_000)
    assert till.collection["tax"] == 0


def test_a_credit_note_is_on_it(sqlite_databases: NewDatabase) -> None:
    world = dollars(sqlite_databases())
    world.send(runs(100))
    invoice = bill(world)
    credit_note(world.engine, invoice.id, "12.50", "goodwill", "slow answers", by="o", now=world.instant)
    shown = text(world, invoice)
    has(shown, "slow answers -12.50", "Credited by credit notes 12.50 USD", "Left to pay 87.50 USD")


def test_the_invoice_of_a_contract(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.account(plan="standard")
    services = (ContractService("Onboarding", 150_000, date(2026, 1, 1)),)
    contract = replace(ACME, services=services)
    add_contract(world.engine, contract, by="o", now=world.instant)
    (invoice,) = invoice_contracts(world.engine, date(2026, 3, 1), now=world.instant)
    shown = text(world, invoice.id)
    has(shown, "Contract acme-2026", "Onboarding", "1,500.00", *(each.description for each in invoice.lines))
    assert "Not billed" not in shown and "Count it yourself" not in shown


def test_what_no_font_has_is_told(world: World) -> None:
    """U+10FFFD is a private character: none has it. The document is made all the same."""
    update_account(world.engine, "acme", now=world.instant, name="Acme \U0010fffd Inc.")
    world.send(runs(20_000))
    made = pdf(world, bill(world))
    assert made.missing == "\U0010fffd"
    has("".join(pages_of(made.content)), "Left to pay 25.00 USD", "Acme")


def test_nothing_a_customer_writes_is_read_as_typst(world: World) -> None:
    name = '#panic("x") $a$ *b* _c_ <d> @e \\f `g` = h // i " { } [ ] #sys.inputs'
    update_account(world.engine, "acme", now=world.instant, name=name)
    world.send(runs(20_000))
    has(text(world, bill(world)), name)


def read(invoice: Invoice, data: Any) -> str:
    content, missing = set_document(invoice_document(invoice, data, ["Us"], None), 1_790_000_000)
    assert missing is None
    return "\n".join(pages_of(content))


# Scripts that the fonts have which come with the library; without what joins letters in other orders.
_WORDS = st.text(st.sampled_from("ABcdeÄßłŃşğΩλДяж.,-&/'()0123456789 "), min_size=1, max_size=200).filter(
    lambda text: text.strip() == text
)
_AMOUNTS = st.integers(-(10**12), 10**12)


def starter_in(currency: str) -> PlanVersion:
    return replace(STARTER, currency=currency)


def _usage(quantity: int, currency: str) -> list[Line]:
    return [
        Line(LineKind.USAGE, f"Task runs {each.first:,} to {each.last:,}", each.quantity, each.unit_price,
             each.exact_amount, each.amount)
        for each in rate(quantity, starter_in(currency))
    ]  # fmt: skip


@st.composite
def invoices(draw: st.DrawFn) -> tuple[Invoice, dict[str, Any]]:
    """Whatever may be stored: long names, many lines, negative ones, currencies without decimals."""
    currency = draw(st.sampled_from(["USD", "JPY", "KWD"]))
    quantity = draw(st.integers(0, 10**9))
    lines = _usage(quantity, currency)
    for amount, description in draw(st.lists(st.tuples(_AMOUNTS, _WORDS), max_size=60)):
        kind = draw(st.sampled_from([LineKind.ADJUSTMENT, LineKind.CREDIT, LineKind.PROGRAM_DISCOUNT]))
        month = Month(2026, 9) if kind is LineKind.ADJUSTMENT else None
        change = draw(st.integers(-(10**9), 10**9)) if month else 1
        lines.append(flat_line(kind, description, amount, currency, quantity=change, month=month))
    total = sum(line.amount for line in lines)
    status = draw(st.sampled_from(["finalized", "open", "paid", "void", "uncollectible"]))
    reasons = ("too_short", "cached", "failed", "crashed", "cancelled", "reversed")
    paid = total if status == "paid" and total > 0 else 0
    invoice = Invoice(
        id="inv_1", account="acme", kind="usage", month=OCTOBER, number="2026-10-000001", status=status,
        currency=currency, plan="starter@2021-02", rule_version="1", run_id="run_1", cutoff=7, cutoff_at=None,
        billable=quantity, not_billed={each: draw(st.integers(0, 10**9)) for each in reasons},
        usage_by_day={}, run_list_sha256="ab" * 32, lines=tuple(lines), total=total, amount_paid=paid,
        created_at=NOVEMBER_2, issued_at=NOVEMBER_2, void_reason=draw(_WORDS),
        bill_to={"name": draw(_WORDS), "line1": draw(_WORDS), "email": draw(_WORDS)},
    )  # fmt: skip
    tax = draw(st.integers(0, 10**9))
    collection = {"tax": tax, "amount_remaining": max(total + tax - paid, 0), "due_at": None}
    data = {"notes": draw(st.lists(_WORDS, max_size=3)), "credit_notes": [], "replaced_by": None,
            "replaces_number": None, "collection": draw(st.sampled_from([None, collection]))}  # fmt: skip
    return invoice, data


@given(invoices())
@share(20)
def test_every_figure_is_read_back(made: tuple[Invoice, dict[str, Any]]) -> None:
    invoice, data = made
    document = invoice_document(invoice, data, ["Us"], starter_in(invoice.currency))
    content, missing = set_document(document, 1_790_000_000)
    assert missing is None
    pages = pages_of(content)
    for number, page in enumerate(pages, 1):
        has(page, f"Page {number} of {len(pages)}", "2026-10-000001")
    # Without feet and repeated heads, a line that two pages share would not be one text.
    shown = squeezed("".join(pages))
    left = squeezed(_without_feet(pages))
    at = left.index("Whatisbilled") + len("Whatisbilled")
    for line in invoice.lines:
        amount = format_amount(line.amount, invoice.currency).removesuffix(f" {invoice.currency}")
        runs_ = f"{line.quantity:,}" if line.kind in (LineKind.USAGE, LineKind.ADJUSTMENT) else ""
        price = "" if line.unit_price is None else format(line.unit_price, "f")
        wanted = squeezed(f"{line.description}{runs_}{price}{amount}")
        found = left.find(wanted, at)
        assert found >= 0, wanted
        at = found + len(wanted)
    total = format_amount(invoice.total, invoice.currency).removesuffix(f" {invoice.currency}")
    assert left.startswith(squeezed(f"Total{total}"), at)
    for reason, quantity in invoice.not_billed.items():
        assert f"{quantity:,}" in shown, reason
    assert f"Total{sum(invoice.not_billed.values()):,}" in shown
    assert squeezed(invoice.bill_to["name"]) in shown
    assert str(invoice.run_list_sha256) in shown
    if data["collection"] and data["collection"]["tax"]:
        with_tax = invoice.total + data["collection"]["tax"]
        assert squeezed(f"Total with tax{format_amount(with_tax, invoice.currency)}") in shown


def _without_feet(pages: list[str]) -> str:
    """The pages as one text, without what stands on each of them."""
    foot = re.compile(r"Us · Invoice 2026-10-000001\s*Page \d+ of \d+")
    head = re.compile(r"Task runs\s*Price of one\s*Amount, [A-Z]{3}")
    return "".join(head.sub("", foot.sub("", page)) for page in pages)


def test_its_data_is_json(world: World) -> None:
    """What is set is text alone: nothing of Python gets into it."""
    world.send(runs(20_000))
    invoice = bill(world)
    data: Any = invoice_data(world.engine, invoice, world.instant)
    document = invoice_document(show_invoice(world.engine, invoice.id), data, [], None)

    def leaves(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for each in value.values():
                yield from leaves(each)
        elif isinstance(value, list | tuple):
            for each in value:
                yield from leaves(each)
        else:
            yield value

    assert {type(each) for each in leaves(document)} <= {str, type(None)}
    assert json.loads(json.dumps(document))["total"] == ["Total", "", "", "25.00"]
    assert Decimal(document["lines"][1][2]) == Decimal("0.0025")

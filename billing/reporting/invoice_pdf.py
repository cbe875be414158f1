"""An invoice as a PDF: `invoice_document` says what, a template of Typst how (docs/decisions/0019).

The same invoice, in the same state and with the same fonts, gives the same bytes: its time is that of the
issue, and nothing else of the clock or the machine is in it. Where a font has all that is written, it is
PDF/A-2a and PDF/UA-1: fit to be archived, and to be read aloud.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from billing.invoices import invoice_data, show_invoice
from billing.reporting.invoice_document import invoice_document
from billing.repository import plans
from billing.repository.invoices import Invoice
from billing.sellers import Seller, seller_at
from metering.database import reading
from metering.period import SECOND_US
from metering.settings import Settings

if TYPE_CHECKING:
    import typst

_STANDARDS = ["a-2a", "ua-1"]
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


@dataclass(frozen=True, slots=True)
class InvoicePdf:
    """`name` is fit for a file. `missing` names a character that no font here has, and that is shown as a
    box; None where all is there."""

    name: str
    content: bytes
    missing: str | None
    seller: Seller


def invoice_pdf(
    engine: sa.Engine, settings: Settings, id_or_number: str, now: int, *, account: str | None = None
) -> InvoicePdf:
    """The PDF of an invoice as it stands now; of one account only, where given. Raises NotFound, and Invalid
    for settings of the seller that cannot be written."""
    invoice = show_invoice(engine, id_or_number, account=account)
    data = invoice_data(engine, invoice, now)
    seller = seller_at(engine, settings, invoice.issued_at if invoice.number else None)
    with reading(engine) as connection:
        version = plans.catalogue(connection).get(invoice.plan)
    content, missing = set_document(invoice_document(invoice, data, seller.lines, version), _made_at(invoice))
    return InvoicePdf(f"{invoice.number or invoice.id}.pdf", content, missing, seller)


def set_document(document: dict[str, Any], made_at: int) -> tuple[bytes, str | None]:
    """The bytes, and a character that no font has. `made_at` in unix seconds."""
    import typst

    inputs = {"invoice": json.dumps(document)}
    try:
        return _compile(inputs, made_at, _STANDARDS), None
    except typst.TypstError as error:
        # The standards forbid what cannot be shown, and nothing else in here.
        if "could not be displayed" not in error.message:
            raise
        named = error.message.partition('"')[2].partition('"')[0]
        return _compile(inputs, made_at, []), _ESCAPED.sub(lambda found: chr(int(found[1], 16)), named)


def _compile(inputs: dict[str, str], made_at: int, standards: list[Any]) -> bytes:
    import typst

    made = typst.Compiler(_template(), font_paths=_fonts(), sys_inputs=inputs).compile(
        format="pdf", timestamp=made_at, pdf_standards=standards
    )
    assert isinstance(made, bytes)
    return made


def _made_at(invoice: Invoice) -> int:
    return (invoice.issued_at or invoice.created_at) // SECOND_US


@functools.cache
def _template() -> bytes:
    return (files("billing.reporting") / "templates" / "invoice.typ").read_bytes()


@functools.cache
def _fonts() -> typst.Fonts:
    """Those that Typst carries, and those of the system for what they do not have."""
    import typst

    return typst.Fonts()

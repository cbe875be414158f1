"""What the document of an invoice says: every text of it, ready to be set. Pure; `invoice_pdf` sets it.

Nothing is computed here that is on the invoice: figures come from it and from the answer that every door
gives of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.pricing.catalogue import PlanVersion
from billing.pricing.line import Line, LineKind
from billing.pricing.money import format_amount, plain
from billing.reporting.contract_text import long_day, runs_text
from billing.reporting.outcome_words import INVOICE_STATUS, OUTCOMES, WHY
from billing.repository.invoices import Invoice
from metering.period import day_of, parse_instant

# Lines whose quantity counts task runs.
_ABOUT_RUNS = (LineKind.USAGE, LineKind.ON_DEMAND, LineKind.ADJUSTMENT)
_COLOURS = {"paid": "#1b6b43", "open": "#93460a", "void": "#b42318", "draft": "#b42318"}
# More is not written out on a document; the rest is on the pages.
_ADDRESS = ("line1", "line2")


def invoice_document(
    invoice: Invoice, data: Mapping[str, Any], seller: Sequence[str], version: PlanVersion | None
) -> dict[str, Any]:
    """The texts by their place in the template. `data` is what `invoice_data` says of the invoice, `seller`
    the lines of who it is from, `version` the plan that priced it."""
    heading = f"Invoice {invoice.number}" if invoice.number else "Draft of an invoice"
    buyer = _buyer(invoice)
    return {
        "title": f"{heading}, {buyer[0]}",
        "author": seller[0] if seller else "",
        "description": f"{_period(invoice)}, {format_amount(invoice.total, invoice.currency)}",
        "heading": heading,
        "footer": f"{seller[0][:60]} · {heading}" if seller else heading,
        "stamp": {"void": "VOID", "draft": "DRAFT"}.get(invoice.status),
        "status": {
            "text": INVOICE_STATUS.get(invoice.status, "Draft"),
            "colour": _COLOURS.get(invoice.status),
        },
        "seller": list(seller),
        "buyer": buyer,
        "facts": _facts(invoice, data),
        "warnings": _warnings(invoice, data),
        "amount_label": f"Amount, {invoice.currency}",
        "lines": [_line(line, invoice.currency) for line in invoice.lines],
        "total": ["Total", "", "", _amount(invoice.total, invoice.currency)],
        "sums": _sums(invoice, data),
        "pay_at": invoice.pay_at,
        "notes": list(data["notes"]),
        "credit_notes": [
            [
                note["number"],
                _day(note["issued_at"]),
                note["reason"],
                _amount(-note["amount"], invoice.currency),
            ]
            for note in data["credit_notes"]
        ],
        **_brackets(invoice, version),
        "not_billed": _not_billed(invoice),
        "not_billed_total": ["Total", "", f"{sum(invoice.not_billed.values()):,}"],
        "proof": _proof(invoice),
    }


def _amount(amount: int, currency: str) -> str:
    """Without the currency, which stands above the column."""
    return format_amount(amount, currency).removesuffix(f" {currency}")


def _day(instant: str) -> str:
    return long_day(day_of(parse_instant(instant)))


def _period(invoice: Invoice) -> str:
    if invoice.kind == "contract":
        return f"Contract {invoice.contract}"
    return f"{long_day(day_of(invoice.month.start))} to {long_day(day_of(invoice.month.end - 1))}, UTC"


def _buyer(invoice: Invoice) -> list[str]:
    """The first line is never empty."""
    to: Mapping[str, Any] = invoice.bill_to
    town = " ".join(filter(None, (to.get("postal_code"), to.get("city"), to.get("state"))))
    lines = [to.get("name"), *(to.get(each) for each in _ADDRESS), town, to.get("country")]
    tax_id = f"Tax ID {to['tax_id']}" if to.get("tax_id") else ""
    found = [str(line) for line in (*lines, tax_id, to.get("email")) if line]
    return found if to.get("name") else [invoice.account, *found]


def _facts(invoice: Invoice, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    due = (data.get("collection") or {}).get("due_at")
    pairs = (
        ("Number", invoice.number),
        ("Issued", long_day(day_of(invoice.issued_at)) if invoice.number and invoice.issued_at else None),
        ("Due by", _day(due) if due and invoice.status == "open" else None),
        ("Account", invoice.account),
        ("Purchase order", invoice.bill_to.get("purchase_order")),
        ("Contract", invoice.contract),
        ("Plan", invoice.plan if invoice.kind == "usage" else None),
        ("From", None if invoice.kind == "contract" else long_day(day_of(invoice.month.start))),
        ("To", None if invoice.kind == "contract" else f"{long_day(day_of(invoice.month.end - 1))}, UTC"),
    )
    return [(label, str(value)) for label, value in pairs if value]


def _warnings(invoice: Invoice, data: Mapping[str, Any]) -> list[str]:
    """What whoever holds the document must not overlook."""
    found = []
    if invoice.status == "draft":
        found.append("This is a draft: it has no number yet, may change, and is not to be paid.")
    if invoice.status == "void":
        found.append(f"This invoice is void, and nothing is to be paid for it: {invoice.void_reason}")
    if data["replaced_by"]:
        found.append(f"{data['replaced_by']} has taken its place.")
    if data["replaces_number"]:
        found.append(f"In place of {data['replaces_number']}, which is void.")
    return found


def _line(line: Line, currency: str) -> list[str]:
    return [
        line.description,
        f"{line.quantity:,}" if line.kind in _ABOUT_RUNS else "",
        "" if line.unit_price is None else plain(line.unit_price),
        _amount(line.amount, currency),
    ]


def _sums(invoice: Invoice, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What follows the total: the tax that Stripe added, what was credited and paid, and what is left. Tax,
    and what is left where Stripe has the invoice, are as Stripe says."""
    code = invoice.currency
    collection: Mapping[str, Any] = data.get("collection") or {}
    credited = sum(note["amount"] for note in data["credit_notes"])
    tax: int | None = collection.get("tax")
    found = []
    if tax:
        found += [("Tax, added by Stripe", tax), ("Total with tax", invoice.total + tax)]
    if credited:
        found.append(("Credited by credit notes", credited))
    if invoice.amount_paid or invoice.status == "paid":
        found.append(("Paid", invoice.amount_paid))
    if invoice.status in ("finalized", "open", "uncollectible"):
        ours = max(invoice.total + (tax or 0) - credited - invoice.amount_paid, 0)
        at_stripe = invoice.status != "finalized" and collection
        found.append(("Left to pay", collection["amount_remaining"] if at_stripe else ours))
    return [(label, format_amount(amount, code)) for label, amount in found]


def _brackets(invoice: Invoice, version: PlanVersion | None) -> dict[str, Any]:
    """The plan's whole schedule, and beside each bracket what of the month's runs fell into it."""
    if version is None or invoice.kind == "contract":
        return {"brackets": [], "brackets_heading": ""}
    rated = [line for line in invoice.lines if line.kind in (LineKind.USAGE, LineKind.ON_DEMAND)]
    left = sum(line.quantity for line in rated)
    lines = iter(rated)  # one for each bracket that holds runs, in order
    rows, lower = [], 0
    for bracket in version.brackets:
        size = left if bracket.up_to is None else min(left, bracket.up_to - lower)
        left -= size
        line = next(lines) if size else None
        assert line is None or line.quantity == size, "a line is what fell into its bracket"
        rows.append(
            [
                f"{lower + 1:,} and more" if bracket.up_to is None else f"{lower + 1:,} to {bracket.up_to:,}",
                "free" if bracket.unit_price == 0 else plain(bracket.unit_price),
                f"{size:,}",
                _amount(0 if line is None else line.amount, invoice.currency),
            ]
        )
        lower = bracket.up_to or lower
    what = "On-demand usage" if invoice.contract else "Usage"
    return {"brackets": rows, "brackets_heading": f"{what} by bracket, plan {invoice.plan}"}


def _not_billed(invoice: Invoice) -> list[list[str]]:
    if invoice.kind == "contract":
        return []
    return [
        [OUTCOMES[reason], WHY[reason], f"{quantity:,}"] for reason, quantity in invoice.not_billed.items()
    ]


def _proof(invoice: Invoice) -> dict[str, str] | None:
    if invoice.run_list_sha256 is None:
        return None
    file = f"{invoice.number or invoice.id}-runs.csv"
    return {
        "text": f"Every billed run of this invoice, {runs_text(invoice.billable)}, is in the run list, a "
        "CSV file with a line for each below a header line. The page of the invoice has it to download, and "
        "its digest is below.",
        "file": file,
        "sha256": invoice.run_list_sha256,
    }

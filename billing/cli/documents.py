"""Invoices and previews as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from billing.cli.output import console, fields, heading, reasons, say, table
from billing.pricing.money import format_amount

if TYPE_CHECKING:
    from rich.table import Table


# Lines whose quantity counts task runs.
ABOUT_RUNS = ("usage", "on_demand", "adjustment")
_AT_STRIPE = {"at Stripe": "stripe_invoice_id", "page to pay": "hosted_invoice_url", "PDF": "invoice_pdf"}


def print_document(data: Mapping[str, Any]) -> None:
    """An invoice or a preview, given in the shape of JSON answers."""
    currency = data["currency"]
    name = data["number"] or data["id"] or "Preview"
    month = data["period"]["start"][:7]
    if data["kind"] == "contract":
        heading(name, f"  {data['account']}, contract {data['contract']['id']}")
    else:
        heading(name, f"  {data['account']}, task runs of {month}")
    console().print(fields({**_usage(data), **_payment(data), **_life(data)}))
    console().print(lines_table(data))
    for sentence in data.get("notes", ()):
        say(sentence)
    for note in data.get("credit_notes", ()):
        say(credit_note_line(note, currency))
    for record in data.get("stripe_records", ()):
        if not record["credit_note"] or record["status"] == "void":
            say(record_line(record))
    if data["run_list_sha256"]:
        say(f"Run list SHA-256: {data['run_list_sha256']}")
        say(f"Check it with:    billing invoices runs {name} | sha256sum")


def _usage(data: Mapping[str, Any]) -> dict[str, object]:
    if data["kind"] == "contract":
        return {"status": _status(data), "due by": data["cutoff_at"][:10]}
    return {
        "status": _status(data),
        "plan": data["plan"],
        "billable": f"{data['billable']:,} task runs",
        "not billed": reasons(data["not_billed"]),
        "cutoff": _cutoff(data),
    }


def _payment(data: Mapping[str, Any]) -> dict[str, object]:
    pairs: dict[str, object] = {}
    if data["id"] is not None:
        pairs["paid"] = format_amount(data["amount_paid"], data["currency"])
    pairs |= {label: data[name] for label, name in _AT_STRIPE.items() if data.get(name)}
    if data.get("collection"):
        pairs["collection"] = collection_line(data["collection"], data["currency"])
    return pairs


def _life(data: Mapping[str, Any]) -> dict[str, object]:
    """Who it is made out to, and what else happened to it."""
    pairs = {
        "bill to": _bill_to(data["bill_to"]) if data.get("bill_to") else None,
        "replaces": data.get("replaces_number"),
        "replaced by": data.get("replaced_by"),
        "approved by": data.get("approved_by"),
        "void": f"{data['voided_at'][:10]}: {data['void_reason']}" if data.get("void_reason") else None,
    }
    return {name: value for name, value in pairs.items() if value}


def lines_table(data: Mapping[str, Any]) -> Table:
    """The lines, and their total."""
    currency = data["currency"]
    shown = table("line", "task runs", "unit price", "amount", numbers=("task runs", "unit price", "amount"))
    for line in data["lines"]:
        price = line["unit_price"] or ""
        runs = f"{line['quantity']:,}" if line["kind"] in ABOUT_RUNS else ""
        shown.add_row(line["description"], runs, price, format_amount(line["amount"], currency))
    shown.add_section()
    shown.add_row("total", "", "", format_amount(data["total"], currency), style="bold")
    return shown


def credit_note_line(note: Mapping[str, Any], currency: str) -> str:
    """A credit note, as `show` of its invoice names it."""
    amount = format_amount(note["amount"], currency)
    return f"Credit note {note['number']}: {amount} ({note['kind']}), {note['reason']}" + _left(
        note["sending"], "not at Stripe"
    )


def record_line(record: Mapping[str, Any]) -> str:
    """A refund, a dispute, or a credit note that Stripe has and our books do not count."""
    amount = format_amount(record["amount"], record["currency"])
    what = record["kind"].replace("_", " ").capitalize()
    reason = f", {record['reason'].replace('_', ' ')}" if record["reason"] else ""
    status = record["status"].replace("_", " ")
    return f"{what} at Stripe, {record['created_at'][:10]}: {amount}, {status}{reason} ({record['id']})"


def collection_line(held: Mapping[str, Any], currency: str) -> str:
    """Where the collection of an invoice stands, in words."""
    if held["dunning"] == "none":
        return "nothing to collect"
    parts = [held["dunning"], f"{format_amount(held['amount_remaining'], currency)} left"]
    if held["attempts"]:
        parts.append(f"{held['attempts']} failed {'attempt' if held['attempts'] == 1 else 'attempts'}")
    if held["failure"]:
        parts.append(held["failure"].rstrip("."))
    if held["next_attempt_at"]:
        parts.append(f"next attempt {held['next_attempt_at'][:16].replace('T', ' ')} UTC")
    elif held["due_at"]:
        parts.append(f"due by {held['due_at'][:10]}")
    return ", ".join(parts)


def _status(data: Mapping[str, Any]) -> str:
    left = _left(data.get("sending"), "not sent") + _left(data.get("voiding"), "not void")
    return f"{data['status']}{left}"


def _left(work: Mapping[str, Any] | None, what: str) -> str:
    """What is still to be done at Stripe, and why it was not."""
    if not work or work["status"] not in ("pending", "failed"):
        return ""
    return f", {what}: {work['error']}" if work["error"] else f", {what} yet"


def _bill_to(bill_to: Mapping[str, Any]) -> str:
    parts = [
        bill_to.get(name, "")
        for name in ("name", "line1", "line2", "postal_code", "city", "state", "country", "tax_id")
    ]
    order = bill_to.get("purchase_order")
    return ", ".join(filter(None, [*parts, f"purchase order {order}" if order else ""]))


def _cutoff(data: Mapping[str, Any]) -> str:
    at = data["cutoff_at"]
    if at is None:
        return "no events yet"
    return (
        f"{at[:19].replace('T', ' ')} UTC (commit {data['cutoff']:,}): events committed later are not in it"
    )

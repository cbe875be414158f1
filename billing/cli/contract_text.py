"""Contracts as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from billing.cli.output import console, count, fields, heading, say, table

# So many of the ledger's last entries are printed; all are in the JSON.
SHOWN_ENTRIES = 10


def print_contract(data: Mapping[str, Any], today: date) -> None:
    """A contract, given in the shape of JSON answers, as it stands on a day."""
    heading(data["id"], f"  {data['account']}, {data['start']} to {data['end']}")
    plans = "\n".join(f"{each['plan']} from {each['from']}" for each in data["plans"])
    pairs = {
        "on-demand usage": plans,
        "instalments": data["instalments"],
        "run balance": f"{count(data['balance'])} task runs",
    }
    console().print(fields(pairs))
    if data["grants"]:
        _print_grants(data, today)
    if data["services"]:
        _print_services(data)
    if data["ledger"]:
        _print_ledger(data)


def _print_grants(data: Mapping[str, Any], today: date) -> None:
    price = f"price, {data['currency']}"
    shown = table("grant", "from", "until", "task runs", price, "left", numbers=("task runs", price, "left"))
    for grant in data["grants"]:
        begun = grant["granted_on"] <= today.isoformat()
        shown.add_row(
            grant["id"],
            grant["granted_on"],
            grant["expires_on"],
            count(grant["runs"]),
            grant["price"],
            count(grant["left"]) if begun else "to come",
        )
    console().print(shown)


def _print_services(data: Mapping[str, Any]) -> None:
    price = f"price, {data['currency']}"
    shown = table("no.", "service", price, "due on", "delivered", numbers=(price,))
    for number, service in enumerate(data["services"], start=1):
        delivered = service["delivered_on"] or "owed"
        shown.add_row(str(number), service["description"], service["price"], service["due_on"], delivered)
    console().print(shown)


def _print_ledger(data: Mapping[str, Any]) -> None:
    entries = data["ledger"][-SHOWN_ENTRIES:]
    shown = table("day", "run ledger", "grant", "task runs", "recorded", numbers=("task runs",))
    for entry in entries:
        kind = entry["kind"] if entry["corrects"] is None else f"correction of {entry['corrects']}"
        recorded = entry["recorded_at"][:16].replace("T", " ")
        shown.add_row(entry["effective_on"], kind, entry["grant"], f"{entry['quantity']:+,}", recorded)
    console().print(shown)
    if len(data["ledger"]) > len(entries):
        say(
            f"The last {len(entries)} of {len(data['ledger']):,} entries; all of them: "
            f"billing contracts show {data['id']} --json"
        )

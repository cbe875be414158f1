"""The figures of a revenue report by name, in the order in which people read them; for the command line and
the console. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Rows = list[tuple[str, int]]

_AGES = {
    "not_due": "not due yet",
    "1-30": "1 to 30 days past due",
    "31-60": "31 to 60 days past due",
    "61-90": "61 to 90 days past due",
    "over_90": "more than 90 days past due",
    "to_give_back": "credited, to be given back",
}
_ROLLED = {
    "opening": "as the month began",
    "invoiced": "invoiced",
    "voided": "void",
    "drawn": "earned: runs drawn",
    "expired": "earned: runs expired",
    "services": "earned: services delivered",
    "closing": "as it ended",
}
_ALWAYS = ("owed in all", "revenue of the month", *_ROLLED.values())
_LESS = ("voided", "drawn", "expired", "services")


def sections(data: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, Rows]]:
    """Titles, and names with amounts in minor units, of one currency of a report in the shape of its JSON.
    What comes to nothing is left out, but for sums."""
    for title, rows in _sections(data, found):
        kept = [(name, amount) for name, amount in rows if amount or name in _ALWAYS]
        if kept:
            yield title, kept


def _sections(
    data: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, Iterable[tuple[str, int]]]]:
    """Titles, and names with amounts."""
    invoiced, credited, paid = found["invoiced"], found["credited"], found["paid"]
    yield (
        f"Invoiced: {invoiced['invoices']:,} invoices",
        [
            ("usage", invoiced["usage"]),
            ("contracts", invoiced["contracts"]),
            ("voided", invoiced["voided"]),
            ("tax, added by Stripe", invoiced["tax"]),
        ],
    )
    granted = [(f"credit: {kind}", amount) for kind, amount in credited["credit"].items()]
    left = ("credit of customers as it ended", credited["credit_balance"])
    yield "Credited", [("credit notes", credited["credit_notes"]), *granted, left]
    yield (
        f"Paid: {paid['payments']:,} payments",
        [
            ("paid", paid["amount"]),
            ("settled at Stripe", paid["settled_at_stripe"]),
            ("refunds and chargebacks", paid["refunds"]),
        ],
    )
    open_ = found["outstanding"]
    ages = [(name, open_[age]) for age, name in _AGES.items()]
    yield f"Outstanding on {data['as_of']}", [*ages, ("owed in all", open_["total"])]
    earned = found["revenue"]
    lines = [(name, amount) for name, amount in earned.items() if name != "total"]
    yield "Revenue", [*lines, ("revenue of the month", earned["total"])]
    yield "Discounts, by program", found["discounts"].items()
    rolled = found["deferred"]
    if rolled["contracts"]:
        lines = [(text, -rolled[name] if name in _LESS else rolled[name]) for name, text in _ROLLED.items()]
        yield "Deferred revenue of commitments", lines
    yield (
        f"Usage of {data['month']}, by its invoices: {invoiced['invoices_of_month']:,}",
        [("as they were issued", invoiced["of_month"]), ("not issued by then", found["unbilled_usage"])],
    )
    given = found["not_billed"]
    runs = sum(given["runs"].values())
    lost = [(f"{name}: {given['runs'][name]:,} runs", value) for name, value in given["value"].items()]
    yield f"Not billed: {runs:,} runs, at list price", [*lost, ("given away", given["total"])]

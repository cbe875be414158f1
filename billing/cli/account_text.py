"""Accounts, their terms, their credit and their history as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from billing.cli.output import console, count, fields, heading, say, table
from billing.pricing.money import format_amount, plain

if TYPE_CHECKING:
    from billing.repository.accounts import Account


def print_account(account: Account) -> None:
    """All that is agreed with an account, what is over included."""
    terms = account.terms
    pairs: dict[str, object] = {
        "account": account.id,
        "name": account.name,
        "email": account.email or "none",
        "currency": account.currency,
        "billing from": account.billing_from,
        "plan": _several(f"{each.plan_id} from {each.from_month}" for each in terms.enrolments),
    }
    if terms.contracts:
        pairs["contract"] = _several(f"{each.id}, {each.start} to {each.end}" for each in terms.contracts)
    if terms.programs:
        pairs["program"] = _several(
            f"{each.name} {plain(each.percentage)}% off, {each.starts_on} to {each.ends_on}"
            for each in terms.programs
        )
    if terms.protections:
        pairs["price protection"] = _several(
            f"at most {format_amount(each.price.charge, account.currency)} a month from {each.from_month}, "
            f"until {each.price.ends_on}"
            for each in terms.protections
        )
    for name, value in account.details.to_data().items():
        pairs[name.replace("_", " ")] = value
    if account.closed_on is not None:
        pairs["closed on"] = account.closed_on
    pairs["Stripe customer"] = account.stripe_customer_id or "none yet: made with the first invoice"
    console().print(fields(pairs))


def print_credit(data: Mapping[str, Any]) -> None:
    """An account's credit, given in the shape of JSON answers."""
    currency = data["currency"]
    heading(data["account"], f"  credit {format_amount(data['balance'], currency)}")
    if not data["ledger"]:
        say(f"No credit yet; grant some with: billing accounts credit {data['account']} AMOUNT --reason TEXT")
        return
    shown = table("on", "what", "amount", "for", numbers=("amount",))
    for each in data["ledger"]:
        what = each["kind"].replace("_", " ")
        amount = format_amount(each["amount"], currency)
        shown.add_row(each["recorded_at"][:10], what, amount, each["description"])
    console().print(shown)


def print_left(data: Mapping[str, Any]) -> None:
    """What an account that closes leaves behind, given in the shape of JSON answers."""
    heading(data["account"], f" closed on {data['closed_on']}")
    to_come = data["invoices_to_come"]
    pairs: dict[str, object] = {
        "invoices to come": ", ".join(to_come) if to_come else "none",
        "adjustments to come": format_amount(data["adjustments_to_come"], data["currency"]),
        "credit": format_amount(data["credit"], data["currency"]),
    }
    grants = [
        f"{count(each['runs_left'])} of grant {each['grant']} of {each['contract']}, until "
        f"{each['expires_on']}"
        for each in data["grants"]
    ]
    pairs["committed runs left"] = _several(grants) if grants else "none"
    console().print(fields(pairs))
    for month in to_come:
        say(f"Once {month} and its grace period are over: billing run {month}")


def print_history(entries: Iterable[Mapping[str, Any]], currency: str) -> None:
    """Every change of an account's terms, given in the shape of JSON answers."""
    shown = table("recorded", "by", "what")
    for each in entries:
        what = _change(each["kind"], each["data"], currency)
        if each["amendment"]:
            what += " (amendment)"
        if each["reason"]:
            what += f": {each['reason']}"
        shown.add_row(each["recorded_at"][:16].replace("T", " "), each["author"], what)
    console().print(shown)


def _change(kind: str, data: Mapping[str, Any], currency: str) -> str:  # noqa: PLR0911 - a case a kind
    match kind:
        case "plan":
            return f"plan {data['plan']}@{data['version']} from {data['from']}"
        case "protection":
            charge = format_amount(data["charge"], currency)
            return f"at most {charge} a month from {data['from']} until {data['ends_on']}"
        case "program":
            return (
                f"program {data['name']}, {data['percentage']}% off, {data['starts_on']} to {data['ends_on']}"
            )
        case "program_end":
            return f"program {data['name']} ends on {data['ends_on']}"
        case "program_refused":
            return f"application to program {data['name']} refused"
        case "contract":
            return f"contract {data['id']}, {data['start']} to {data['end']}"
        case "grant":
            price = format_amount(data["price"], currency)
            return (
                f"contract {data['contract']}: {count(data['runs'])} task runs for {price}, "
                f"{data['granted_on']} to {data['expires_on']}"
            )
        case "contract_end":
            return f"contract {data['contract']} ends on {data['end']}"
        case "contract_plan":
            return f"contract {data['contract']}: plan {data['plan']} from {data['from']}"
        case "contract_withdrawn":
            return f"contract {data['contract']} withdrawn"
        case "closed":
            return f"closed on {data['on']}"
    return kind.replace("_", " ")


def _several(items: Iterable[str]) -> str:
    return "\n".join(items)

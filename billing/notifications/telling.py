"""Events: what others are told of. An event is stored in the transaction of what it tells of, so that neither
is there without the other; who is told is decided once, right after (docs/decisions/0021).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from billing.ids import new_id
from billing.repository import accounts, endpoints, notifications
from billing.repository.alerts import NO_SETTINGS, settings_of
from billing.repository.disputes import Dispute
from billing.repository.endpoints import Endpoint
from billing.repository.invoices import Invoice
from billing.repository.notifications import Delivery, Event
from metering.database import writing
from metering.period import format_instant

# What an endpoint may ask to be told of, and what it means.
EVENT_TYPES: Mapping[str, str] = {
    "usage.threshold_reached": "50, 80 or 100 % of a month's free runs are used, or will be",
    "budget.threshold_reached": "50, 80 or 100 % of a month's budget are used, or will be",
    "contract.run_balance_low": "50, 80 or 100 % of the committed runs are gone, or will be",
    "invoice.finalized": "an invoice was issued",
    "invoice.paid": "an invoice is paid, or had nothing to pay",
    "invoice.payment_failed": "an attempt to collect an invoice failed",
    "invoice.voided": "an invoice is void",
    "dispute.raised": "a customer says that task runs are billed wrongly",
    "dispute.answered": "a dispute was answered",
    "webhook_endpoint.disabled": "an endpoint failed for so long that it is told nothing more",
    "webhook.test": "a test that somebody asked for",
}
# What also goes by mail, where that is set up: to the account, and to the operator.
MAILED_TO_ACCOUNT = frozenset(
    {"usage.threshold_reached", "budget.threshold_reached", "contract.run_balance_low", "dispute.answered"}
)
MAILED_TO_OPERATOR = frozenset(
    {
        "usage.threshold_reached",
        "budget.threshold_reached",
        "contract.run_balance_low",
        "invoice.payment_failed",
        "dispute.raised",
        "webhook_endpoint.disabled",
    }
)
# Types that only the operator is told of.
_OPERATOR_ONLY = frozenset({"webhook_endpoint.disabled"})

# So many events become deliveries in one transaction.
_TOGETHER = 200
MAIL = "mail"
WEBHOOK = "webhook"


def make_event(
    type_: str, key: str, account: str | None, message: str, data: Mapping[str, object], now: int
) -> Event:
    """An event with its body: `type`, `timestamp`, and `data` with `message`, a sentence for people."""
    assert type_ in EVENT_TYPES, f"{type_} is not documented"
    said = {
        "type": type_,
        "timestamp": format_instant(now),
        "data": {"account": account, "message": message, **data},
    }
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return Event(new_id("evt", now), f"{type_}:{key}", type_, account, body, now)


def tell(connection: sa.Connection, events: Sequence[Event]) -> None:
    """Store events within the caller's transaction. What nobody listens to and no mail tells of is not."""
    mailed = [each for each in events if each.type in MAILED_TO_ACCOUNT | MAILED_TO_OPERATOR]
    is_heard = len(mailed) < len(events) and endpoints.is_any_enabled(connection)
    notifications.add_events(connection, events if is_heard else mailed)


def tell_invoices(connection: sa.Connection, happened: str, found: Iterable[Invoice], now: int) -> None:
    """Tell of invoices within the transaction in which it `happened`: finalized, paid or voided. One that is
    issued with nothing to pay is paid as well."""
    if not endpoints.is_any_enabled(connection):
        return
    events = []
    for each in found:
        events.append(_invoice_event(f"invoice.{happened}", each, now))
        if happened == "finalized" and each.status == "paid":
            events.append(_invoice_event("invoice.paid", each, now))
    tell(connection, events)


def tell_payment_failed(
    connection: sa.Connection, invoice: Invoice, attempts: int, failure: str, now: int
) -> None:
    """Each attempt that failed is told of once."""
    more = {"attempts": attempts, "failure": failure}
    tell(connection, [_invoice_event("invoice.payment_failed", invoice, now, f":{attempts}", more)])


def _invoice_event(
    type_: str, invoice: Invoice, now: int, key: str = "", more: Mapping[str, object] | None = None
) -> Event:
    said = {"invoice.payment_failed": "could not be collected", "invoice.voided": "is void"}
    what = said.get(type_, "is paid" if type_ == "invoice.paid" else "was issued")
    data = {
        "invoice": invoice.id,
        "number": invoice.number,
        "kind": invoice.kind,
        "month": str(invoice.month),
        "status": "void" if type_ == "invoice.voided" else invoice.status,
        "currency": invoice.currency,
        "total": invoice.total,
        "amount_paid": invoice.amount_paid,
        "hosted_invoice_url": invoice.hosted_invoice_url,
        **(more or {}),
    }
    message = f"Invoice {invoice.number} of {invoice.account} {what}."
    if more:
        message = f"Invoice {invoice.number} of {invoice.account} {what}: {more['failure']}"
    return make_event(type_, invoice.id + key, invoice.account, message, data, now)


def tell_dispute(connection: sa.Connection, happened: str, dispute: Dispute, now: int) -> None:
    """Tell of a dispute that was raised or answered."""
    answered = happened == "answered"
    data = {
        "dispute": dispute.id,
        "invoice": dispute.invoice,
        "status": dispute.status,
        "runs": len(dispute.runs),
        "runs_reversed": len(dispute.reversed),
        "reply": dispute.reply,
    }
    runs = "a task run" if len(dispute.runs) == 1 else f"{len(dispute.runs):,} task runs"
    message = f"{dispute.raised_by} of {dispute.account} disputes {runs}: {dispute.message}"
    if answered:
        message = f"Dispute {dispute.id} about {runs} of {dispute.account} was answered: {dispute.reply}"
    tell(connection, [make_event(f"dispute.{happened}", dispute.id, dispute.account, message, data, now)])


def make_deliveries(engine: sa.Engine, now: int, *, mail: bool, operator: str | None) -> int:
    """Decide who is told of each event that is new: the endpoints that were there and want it and, where
    `mail` is set up, the account's address and the operator's. Answers how many deliveries were made."""
    made = 0
    while True:
        with writing(engine) as connection:
            events = notifications.untold(connection, _TOGETHER)
            if not events:
                return made
            listeners = endpoints.search(connection, status="enabled")
            found = [each for event in events for each in _to_endpoints(event, listeners, now)]
            if mail:
                found += _by_mail(connection, events, operator, now)
            notifications.add_deliveries(connection, found)
            notifications.mark_told(connection, [each.id for each in events])
            made += len(found)


def _to_endpoints(event: Event, listeners: Sequence[Endpoint], now: int) -> list[Delivery]:
    return [
        delivery_of(event, WEBHOOK, each.id, each.account, now)
        for each in listeners
        if each.wants(event.type, event.account)
        and each.created_at <= event.created_at
        and not (event.type in _OPERATOR_ONLY and each.account is not None)
        and not event.key.startswith(f"webhook_endpoint.disabled:{each.id}:")  # it knows
    ]


def _by_mail(
    connection: sa.Connection, events: Sequence[Event], operator: str | None, now: int
) -> list[Delivery]:
    mailed = [each for each in events if each.mail]
    ids = sorted({each.account for each in mailed if each.account is not None})
    held = {each.id: each for each in accounts.some(connection, ids)}
    chosen = settings_of(connection, ids)
    found = []
    for each in mailed:
        account = None if each.account is None else held.get(each.account)
        wants_mail = account is not None and chosen.get(account.id, NO_SETTINGS).mail
        if account is not None and wants_mail and account.email and each.type in MAILED_TO_ACCOUNT:
            found.append(delivery_of(each, MAIL, account.email, account.id, now))
        if operator and each.type in MAILED_TO_OPERATOR and (account is None or account.email != operator):
            found.append(delivery_of(each, MAIL, operator, None, now))
    return found


def delivery_of(event: Event, channel: str, target: str, account: str | None, now: int) -> Delivery:
    """A delivery that is due at once."""
    endpoint = target if channel == WEBHOOK else None
    made = new_id("dlv", now)
    return Delivery(made, event.id, event.type, channel, target, endpoint, account, "pending", 0, now, now)

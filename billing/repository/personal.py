"""Where the personal data of a customer lies, and how it is taken from there. Ids stay, and so does all that
an invoice is computed from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from billing.audit.entry import ERASURE
from billing.audit_tables import audit_entries
from billing.customer_tables import disputes
from billing.notification_tables import deliveries, events, webhook_endpoints, webhook_secrets
from billing.operator_tables import proposals
from billing.repository.parts import parts
from billing.tables import accounts, idempotent_requests, invoices, outbox

# What stands where something was erased.
ERASED = "(erased)"
# Of billing details, what says nothing of a person and something of the tax or the payment.
_IMPERSONAL = ("country", "collection", "days_until_due", "tax_exempt")
# The columns of audited rows that are personal: a detail of the trail that has one of them is erased.
_PERSONAL: Mapping[str, frozenset[str]] = {
    "accounts": frozenset({"name", "email", "details"}),
    "invoices": frozenset({"bill_to"}),
    "disputes": frozenset({"message", "raised_by", "reply", "decision"}),
    "webhook_endpoints": frozenset({"url", "description"}),
    "sources": frozenset({"url", "workspace"}),
}
# What is looked for afterwards, by the names of columns and of what their JSON holds: what names somebody. A
# town or a word would be found everywhere.
_NAMING = frozenset({"name", "email", "line1", "tax_id", "value", "raised_by"})
_SHORTEST = 4
# What belongs to an account, and has entries of its own in the trail.
_THINGS = (("invoice", invoices), ("dispute", disputes), ("webhook_endpoint", webhook_endpoints))


def invoices_of(connection: sa.Connection, account: str) -> list[sa.Row[Any]]:
    """Id, number, status, instant of issue and what was put on each invoice of an account."""
    columns = (invoices.c.id, invoices.c.number, invoices.c.status, invoices.c.issued_at, invoices.c.bill_to)
    query = sa.select(*columns).where(invoices.c.account_id == account).order_by(invoices.c.id)
    return list(connection.execute(query))


def things(connection: sa.Connection, account: str) -> dict[str, list[str]]:
    """What belongs to an account and has entries of its own in the trail: ids by kind."""
    found = {}
    for kind, table in _THINGS:
        found[kind] = list(connection.scalars(sa.select(table.c.id).where(table.c.account_id == account)))
    return found


def unsent(connection: sa.Connection, account: str) -> bool:
    """Whether something is still to be done at Stripe about an invoice of the account."""
    mine = sa.select(invoices.c.id).where(invoices.c.account_id == account)
    waits = outbox.c.invoice_id.in_(mine) & outbox.c.status.in_(("pending", "failed"))
    return connection.execute(sa.select(outbox.c.id).where(waits).limit(1)).first() is not None


def names(connection: sa.Connection, account: str) -> set[str]:
    """Whatever names somebody, now and in the details of the audit trail."""
    found: set[str] = set()
    row = connection.execute(sa.select(accounts).where(accounts.c.id == account)).one()
    found |= set(_naming(row._asdict()))
    for invoice in invoices_of(connection, account):
        found |= set(_naming(json.loads(invoice.bill_to)))
    query = sa.select(disputes.c.raised_by).where(disputes.c.account_id == account)
    found |= set(connection.scalars(query))
    for entry in _entries(connection, account):
        detail = json.loads(entry.detail)
        found |= set(_naming(detail)) if _is_personal(detail) else set()
    return {each for each in found if len(each) >= _SHORTEST and each not in (account, ERASED)}


def _naming(said: Mapping[str, Any]) -> Iterator[str]:
    for name, value in said.items():
        held = value
        if isinstance(value, str) and value.startswith("{"):
            held = json.loads(value)
        if isinstance(held, Mapping):
            yield from _naming(held)
        elif isinstance(held, str) and name in _NAMING:
            yield held


def impersonal(bill_to: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of who an invoice was made out to."""
    return {"name": ERASED, **{name: bill_to[name] for name in _IMPERSONAL if name in bill_to}}


def erase_account(connection: sa.Connection, account: str, details: Mapping[str, Any]) -> None:
    left = {name: details[name] for name in _IMPERSONAL if name in details}
    connection.execute(
        accounts.update()
        .where(accounts.c.id == account)
        .values(name=ERASED, email="", details=json.dumps(left), stripe_customer_holds="{}")
    )


def erase_invoice(connection: sa.Connection, invoice_id: str, bill_to: Mapping[str, Any]) -> None:
    """Its page at Stripe shows a name, too, to whoever has the address."""
    without = {"bill_to": json.dumps(impersonal(bill_to)), "hosted_invoice_url": None, "invoice_pdf": None}
    connection.execute(invoices.update().where(invoices.c.id == invoice_id).values(without))


def erase_disputes(connection: sa.Connection, account: str) -> list[str]:
    """What was written; that it was, about which runs, and what was done, stays. Answers their ids."""
    done = []
    query = sa.select(disputes).where(disputes.c.account_id == account, disputes.c.message != ERASED)
    for row in connection.execute(query).all():
        decision = None if row.decision is None else {**json.loads(row.decision), "reply": ERASED}
        values = {
            "message": ERASED,
            "raised_by": ERASED,
            "reply": None if row.reply is None else ERASED,
            "decision": None if decision is None else json.dumps(decision),
        }
        connection.execute(disputes.update().where(disputes.c.id == row.id).values(values))
        done.append(row.id)
    return done


def remove_endpoints(connection: sa.Connection, account: str) -> list[str]:
    """The account's own, with their secrets. Answers their ids."""
    ids = list(
        connection.scalars(sa.select(webhook_endpoints.c.id).where(webhook_endpoints.c.account_id == account))
    )
    for table, column in (
        (deliveries, deliveries.c.endpoint_id),
        (webhook_secrets, webhook_secrets.c.endpoint_id),
        (webhook_endpoints, webhook_endpoints.c.id),
    ):
        connection.execute(table.delete().where(column.in_(ids)))
    return ids


def remove_notifications(connection: sa.Connection, account: str) -> int:
    """All that was told of the account, to whomever: its addresses, and what was said. Answers how many."""
    mine = sa.select(events.c.id).where(events.c.account_id == account)
    told = deliveries.c.event_id.in_(mine) | (deliveries.c.account_id == account)
    connection.execute(deliveries.delete().where(told))
    return connection.execute(events.delete().where(events.c.account_id == account)).rowcount


def erase_requests(connection: sa.Connection, account: str, values: Collection[str], now: int) -> int:
    """What was asked for and answered: proposals that nobody can approve any more, and answers that are kept
    for when a request is sent again. Answers how many."""
    over = proposals.c.decision.is_not(None) | (proposals.c.expires_at <= now)
    mine = proposals.update().where(proposals.c.account_id == account, proposals.c.request != "{}", over)
    held = _holding(idempotent_requests.c.body, values)
    kept = idempotent_requests.update().where(held, idempotent_requests.c.status.is_not(None))
    answer = json.dumps({"data": {"erased": True}, "location": None})
    done = connection.execute(mine.values(request="{}")).rowcount
    return done + connection.execute(kept.values(body=answer)).rowcount


def erase_details(connection: sa.Connection, account: str, values: Collection[str]) -> list[int]:
    """Those of the audit trail that hold personal data, or a value; the entries stay, and the chain holds.
    Answers their numbers."""
    forms = _written(values)
    numbers = [
        each.number
        for each in _entries(connection, account)
        if _is_personal(json.loads(each.detail)) or any(form in each.detail for form in forms)
    ]
    for some in parts(numbers):
        entries = audit_entries.update().where(audit_entries.c.number.in_(some))
        connection.execute(entries.values(detail=None))
    return sorted(numbers)


def _entries(connection: sa.Connection, account: str) -> list[sa.Row[Any, Any]]:
    """Number and detail of each entry about the account, or a thing of its, that has a detail."""
    columns = audit_entries.c
    mine = columns.account_id == account
    for kind, table in _THINGS:
        ids = sa.select(table.c.id).where(table.c.account_id == account)
        mine |= (columns.kind == kind) & columns.subject.in_(ids)
    mine |= (columns.kind == "account") & (columns.subject == account)
    has_detail = columns.detail.is_not(None) & (columns.deed != ERASURE)
    query = sa.select(columns.number, columns.detail).where(mine, has_detail)
    return list(connection.execute(query))


def _is_personal(detail: Mapping[str, Any]) -> bool:
    rows = [row for when in ("before", "after") for row in (detail.get(when) or {}).items()]
    return any(_PERSONAL.get(place.partition("/")[0], frozenset()) & held.keys() for place, held in rows)


def where_left(
    connection: sa.Connection, tables: Sequence[sa.Table], values: Collection[str], kept: Collection[str]
) -> dict[str, int]:
    """In how many rows of which columns the values are still, but for the invoices that are `kept`."""
    found = {}
    there = set(sa.inspect(connection).get_table_names())
    for table in tables:
        for column in table.columns if values and table.name in there else ():
            if not isinstance(column.type, sa.Text):
                continue
            query = sa.select(sa.func.count()).select_from(table).where(_holding(column, values))
            if table is invoices:
                query = query.where(invoices.c.id.not_in(list(kept)))
            if rows := connection.scalar(query):
                found[f"{table.name}.{column.name}"] = rows
    return found


def _holding(column: sa.Column[Any], values: Collection[str]) -> sa.ColumnElement[bool]:
    return sa.or_(sa.false(), *(column.contains(each, autoescape=True) for each in _written(values)))


def _written(values: Collection[str]) -> list[str]:
    """As they are, and as they are in JSON."""
    return sorted({form for each in values for form in (each, json.dumps(each)[1:-1])})

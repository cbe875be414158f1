"""The things whose changes are audited: of each kind the rows that it consists of.

What mirrors somebody else's state (Stripe's, a Prefect server's progress, failures of an endpoint) is left
out: it changes by itself, and is compared with whoever it is of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from billing.audit.entry import Digest, State, state_digest
from billing.customer_tables import dispute_runs, disputes, link_secrets, sellers
from billing.notification_tables import alert_settings, webhook_endpoints, webhook_secrets
from billing.operator_tables import operator_sessions, proposals
from billing.tables import (
    account_terms,
    accounts,
    api_keys,
    billing_runs,
    contracts,
    credit_ledger,
    credit_notes,
    deliveries,
    invoice_lines,
    invoices,
    plan_versions,
    referrals,
)
from metering.collecting.tables import sources

# Subjects whose rows are read at once.
AT_ONCE = 500
HIDDEN = "(hidden)"

Ids = Sequence[str]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a table that belong to a thing: `owner` is the expression that says to which. Of `hidden`
    columns a change is seen, and never the value. Columns that came `later` than the trail are left out where
    they hold nothing: what was sealed without them still stands."""

    table: sa.Table
    owner: sa.ColumnElement[Any]
    without: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    hidden: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    join: Callable[[], sa.FromClause] | None = None
    where: sa.ColumnElement[bool] | None = None

    def columns(self) -> list[sa.Column[Any]]:
        return [
            column
            for column in self.table.columns
            if column.name not in self.without and (self.only is None or column.name in self.only)
        ]

    def rows(self, connection: sa.Connection, ids: Ids) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Whose, the place, and the values of each row of some things."""
        keys = list(self.table.primary_key.columns)
        columns = self.columns()
        query = sa.select(self.owner.label("whose_"), *keys, *columns)
        query = query.select_from(self.table if self.join is None else self.join())
        query = query.where(self.owner.in_(list(ids)))
        if self.where is not None:
            query = query.where(self.where)
        for row in connection.execute(query):
            place = "/".join(str(each) for each in row[1 : 1 + len(keys)])
            values = dict(zip((each.name for each in columns), row[1 + len(keys) :], strict=True))
            for name in self.later:
                if values[name] is None:
                    del values[name]
            yield row[0], f"{self.table.name}/{place}", values


@dataclass(frozen=True, slots=True)
class Kind:
    """`root` is the table that a thing has one row in, and `id` the expression that names it."""

    root: sa.Table
    id: sa.ColumnElement[Any]
    parts: tuple[Part, ...]
    # Which of the rows of `root` are audited; all, if there is none.
    where: sa.ColumnElement[bool] | None = None


def _source_id() -> sa.ColumnElement[Any]:
    return sources.c.account + "/" + sources.c.id


KINDS: dict[str, Kind] = {
    "account": Kind(
        accounts,
        accounts.c.id,
        (
            Part(accounts, accounts.c.id, without=frozenset({"entries", "stripe_customer_holds"})),
            Part(account_terms, account_terms.c.account_id),
            Part(contracts, contracts.c.account_id),
            Part(deliveries, contracts.c.account_id, join=lambda: deliveries.join(contracts)),
            Part(referrals, referrals.c.referred),
            Part(alert_settings, alert_settings.c.account_id),
            # What an issued invoice did to credit is the invoice's; no row is nobody's.
            Part(
                credit_ledger,
                credit_ledger.c.account_id,
                where=sa.func.coalesce(credit_ledger.c.invoice_id, "").not_in(
                    sa.select(invoices.c.id).where(invoices.c.status != "draft")
                ),
            ),
        ),
    ),
    "invoice": Kind(
        invoices,
        invoices.c.id,
        (
            Part(
                invoices,
                invoices.c.id,
                without=frozenset(
                    {"amount_paid", "stripe_invoice_id", "stripe_status", "hosted_invoice_url", "invoice_pdf"}
                ),
            ),
            Part(invoice_lines, invoice_lines.c.invoice_id),
            Part(credit_notes, credit_notes.c.invoice_id, without=frozenset({"stripe_credit_note_id"})),
            Part(credit_ledger, credit_ledger.c.invoice_id),
        ),
        # A draft says what might be, and is made anew by every billing run.
        where=invoices.c.status != "draft",
    ),
    "billing_run": Kind(billing_runs, billing_runs.c.id, (Part(billing_runs, billing_runs.c.id),)),
    "plan": Kind(plan_versions, plan_versions.c.plan, (Part(plan_versions, plan_versions.c.plan),)),
    "key": Kind(
        api_keys,
        api_keys.c.id,
        (
            Part(
                api_keys,
                api_keys.c.id,
                without=frozenset({"last_used_at"}),
                hidden=frozenset({"secret_sha256"}),
                later=frozenset({"expires_at", "replaced_by"}),
            ),
        ),
    ),
    "dispute": Kind(
        disputes,
        disputes.c.id,
        (Part(disputes, disputes.c.id), Part(dispute_runs, dispute_runs.c.dispute_id)),
    ),
    "webhook_endpoint": Kind(
        webhook_endpoints,
        webhook_endpoints.c.id,
        (
            Part(
                webhook_endpoints,
                webhook_endpoints.c.id,
                without=frozenset({"failures", "failing_since", "paused_until"}),
            ),
            Part(webhook_secrets, webhook_secrets.c.endpoint_id, hidden=frozenset({"secret"})),
        ),
    ),
    "source": Kind(
        sources,
        _source_id(),
        (
            Part(
                sources,
                _source_id(),
                only=frozenset({"kind", "added_at", "url", "key_name", "workspace", "retention_us"}),
            ),
        ),
        # What declares itself is told of by every batch.
        where=sources.c.kind == "prefect",
    ),
    "seller": Kind(
        sellers,
        sa.cast(sellers.c.recorded_at, sa.Text),
        (Part(sellers, sa.cast(sellers.c.recorded_at, sa.Text)),),
    ),
    "operator": Kind(
        operator_sessions,
        operator_sessions.c.id,
        (
            Part(
                operator_sessions,
                operator_sessions.c.id,
                hidden=frozenset({"link_sha256", "session_sha256"}),
            ),
        ),
    ),
    # The digest of the request stands for it: it may name a hundred thousand task runs.
    "proposal": Kind(
        proposals, proposals.c.id, (Part(proposals, proposals.c.id, without=frozenset({"request"})),)
    ),
    "links": Kind(
        link_secrets,
        link_secrets.c.purpose,
        (Part(link_secrets, link_secrets.c.purpose, hidden=frozenset({"secret"})),),
    ),
}


def states(connection: sa.Connection, kind: str, ids: Ids) -> dict[str, dict[str, dict[str, Any]]]:
    """What some things of a kind consist of; those that are not there are left out."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for part in KINDS[kind].parts:
        for whose, place, values in part.rows(connection, ids):
            found[whose][place] = values
    return found


class Observed(NamedTuple):
    """A thing as it is found. `digest` is what the trail says of it: None where it is not there, or not
    audited as yet, such as a draft."""

    state: State
    digest: Digest


def observed(connection: sa.Connection, kind: str, subject: str) -> Observed:
    return _observed(connection, kind, [subject])[subject]


def digests(connection: sa.Connection, kind: str, ids: Ids) -> dict[str, Digest]:
    """What the trail says of some things, each as it is now."""
    found: dict[str, Digest] = {}
    for at in range(0, len(ids), AT_ONCE):
        some = _observed(connection, kind, ids[at : at + AT_ONCE])
        found |= {each: held.digest for each, held in some.items()}
    return found


def _observed(connection: sa.Connection, kind: str, ids: Ids) -> dict[str, Observed]:
    root = KINDS[kind]
    held = states(connection, kind, ids)
    audited: set[str] = set(ids)
    if root.where is not None:
        query = sa.select(root.id).where(root.where, root.id.in_(list(ids)))
        audited = set(connection.scalars(query))
    found = {}
    for each in ids:
        state = held.get(each, {})
        found[each] = Observed(state, state_digest(state) if each in audited else None)
    return found


def shown(kind: str, held: State) -> dict[str, dict[str, Any]]:
    """A state without secrets: what is shown in their place changes when they do, and does not tell them."""
    hidden = {part.table.name: part.hidden for part in KINDS[kind].parts if part.hidden}
    return {
        place: {
            column: HIDDEN if column in hidden.get(place.partition("/")[0], ()) and value else value
            for column, value in values.items()
        }
        for place, values in held.items()
    }


def lock(connection: sa.Connection, kind: str, subject: str) -> None:
    """Nobody else changes the thing, or makes it, before this transaction ends: so what was before is what
    this changes. Of an invoice the account comes first, as everywhere."""
    if kind == "invoice":
        owner = sa.select(invoices.c.account_id).where(invoices.c.id == subject).scalar_subquery()
        query = sa.select(accounts.c.id).where(accounts.c.id == owner)
        connection.execute(query.with_for_update(key_share=True)).all()
    root = KINDS[kind]
    rows = sa.select(sa.literal(1)).select_from(root.root).where(root.id == subject)
    rows = rows.with_for_update(key_share=True)
    if connection.execute(rows).all() or connection.dialect.name != "postgresql":
        return
    # There is no row to lock as yet: who makes one of this name comes after who made it just now.
    name = sa.func.hashtextextended(f"{kind}/{subject}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(name)))
    connection.execute(rows).all()


def ids(connection: sa.Connection, kind: str) -> Iterator[list[str]]:
    """All things of a kind, some hundred at a time."""
    root = KINDS[kind]
    query = sa.select(root.id).select_from(root.root).distinct()
    if root.where is not None:
        query = query.where(root.where)
    answer = connection.execute(query, execution_options={"yield_per": AT_ONCE})
    for page in answer.partitions():
        yield [str(row[0]) for row in page]

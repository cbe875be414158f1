"""The outbox: what we mean to do at Stripe. An intent is committed with the document it is for; the results
of its steps are committed as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from billing.repository.due import has_come
from billing.repository.lists import having
from billing.tables import invoices, outbox
from metering.period import DAY_US, Month

# No intent waits longer for its next attempt.
_LONGEST_WAIT_US = DAY_US

Kind = Literal["send", "void", "credit_note"]

# The steps of each kind, in order.
STEPS: dict[Kind, tuple[str, ...]] = {
    "send": ("customer", "create", "lines", "finalize"),
    "void": ("void",),
    "credit_note": ("credit_note",),
}

# What is done to one invoice comes in this order.
_ORDER = sa.case({"send": 0, "credit_note": 1}, value=outbox.c.kind, else_=2)


class Wanted(NamedTuple):
    """Which intents: of the invoices of a month, of an account's, of one invoice; of some kinds."""

    month: Month | None = None
    account: str | None = None
    invoice: str | None = None
    kinds: tuple[Kind, ...] = tuple(STEPS)


ALL = Wanted()


@dataclass(frozen=True, slots=True)
class Intent:
    """Something to do at Stripe for an invoice: send it, void it, or credit it. `step` is the next to do,
    first tried at `step_since` (an instant; 0: never). `generation` is part of the idempotency keys: a new
    one makes new requests of the same steps. `status` is `pending`, `done`, `withdrawn` (there is nothing to
    do any more), or `failed`: an operator must look at `error`. `author` and `reason` are those of a void."""

    id: str
    kind: Kind
    invoice_id: str
    credit_note_id: str | None
    step: str
    status: str
    attempts: int
    generation: int
    step_since: int
    next_attempt_at: int
    error: str | None
    author: str | None = None
    reason: str | None = None

    @property
    def waits(self) -> bool:
        """Whether it is still to be done, by itself or with an operator's help."""
        return self.status in ("pending", "failed")

    def to_data(self) -> dict[str, object]:
        """How far it is, in the shape of JSON answers."""
        return {"status": self.status, "step": self.step, "attempts": self.attempts, "error": self.error}


def void_id(invoice_id: str) -> str:
    """The id of the intent to void an invoice: there is one at most."""
    return f"void-{invoice_id}"


def add(connection: sa.Connection, now: int, *invoice_ids: str) -> None:
    """The intents to send invoices, each with the invoice's id."""
    if invoice_ids:
        connection.execute(outbox.insert(), [_values(id_, "send", id_, now) for id_ in invoice_ids])


def add_void(connection: sa.Connection, invoice_id: str, *, by: str, reason: str, now: int) -> None:
    """The intent to void an invoice; one that failed before is taken up again."""
    if get(connection, void_id(invoice_id)) is None:
        _add(connection, void_id(invoice_id), "void", invoice_id, now, author=by, reason=reason)
    else:
        again = {"status": "pending", "next_attempt_at": now, "author": by, "reason": reason, "error": None}
        update(connection, void_id(invoice_id), **again)


def add_credit_note(connection: sa.Connection, note_id: str, invoice_id: str, now: int) -> None:
    """The intent to give a credit note; its id is the note's."""
    _add(connection, note_id, "credit_note", invoice_id, now, credit_note_id=note_id)


def _add(connection: sa.Connection, id: str, kind: Kind, invoice_id: str, now: int, **more: Any) -> None:
    connection.execute(outbox.insert().values(_values(id, kind, invoice_id, now) | more))


def _values(intent_id: str, kind: Kind, invoice_id: str, now: int) -> dict[str, Any]:
    return {
        "id": intent_id,
        "kind": kind,
        "invoice_id": invoice_id,
        "step": STEPS[kind][0],
        "status": "pending",
        "attempts": 0,
        "generation": 1,
        "step_since": 0,
        "next_attempt_at": now,
        "claimed_until": 0,
    }


def claim(connection: sa.Connection, intent_id: str, now: int, until: int) -> Intent | None:
    """Take an intent for this process, for a while; None if it is done, another process is at work on the
    invoice, or it waits for another intent: a credit note for the sending to be done, and a sending for a
    void that takes its place."""
    intent = get(connection, intent_id)
    if intent is None:
        return None
    # One writer at a time decides what is done next for an invoice.
    query = sa.select(invoices.c.id).where(invoices.c.id == intent.invoice_id)
    connection.execute(query.with_for_update(key_share=True)).one()
    others = of_invoice(connection, intent.invoice_id)
    if not _has_its_turn(intent, others) or claimed(connection, now, Wanted(invoice=intent.invoice_id)):
        return None
    done = connection.execute(
        outbox.update()
        .where(outbox.c.id == intent_id, outbox.c.status == "pending", _is_free(now))
        .values(claimed_until=until)
    )
    return get(connection, intent_id) if done.rowcount else None


def _has_its_turn(intent: Intent, others: Mapping[str, Intent]) -> bool:
    if intent.kind == "send":
        void = others.get(void_id(intent.invoice_id))
        return void is None or not void.waits
    send = others.get(intent.invoice_id)
    return intent.kind == "void" or send is None or send.status == "done"


def withdraw_sending(connection: sa.Connection, invoice_id: str, now: int) -> bool:
    """Withdraw the intent to send an invoice that Stripe cannot have: no step that makes it was begun, and no
    process is at work on it. True also where there was nothing to send. False if Stripe may have it. Whoever
    calls has locked the invoice."""
    send = get(connection, invoice_id)
    if send is None:
        return True
    untried = send.step == "customer" or (send.step == "create" and not send.step_since)
    if not send.waits or not untried or claimed(connection, now, Wanted(invoice=invoice_id)):
        return False
    update(connection, invoice_id, status="withdrawn")
    return True


def settle_void(connection: sa.Connection, invoice_id: str) -> None:
    """The invoice is void: nothing is left to do for it."""
    done = sa.case((outbox.c.kind == "void", "done"), else_="withdrawn")
    connection.execute(
        outbox.update()
        .where(outbox.c.invoice_id == invoice_id, outbox.c.status.in_(("pending", "failed")))
        .values(status=done, error=None, claimed_until=0)
    )


def begin(connection: sa.Connection, intent_id: str, now: int, until: int) -> Intent | None:
    """A step is begun, by the process that claimed the intent; answers the intent as it was before. None if
    it is not pending any more."""
    held = get(connection, intent_id)
    done = connection.execute(
        outbox.update()
        .where(outbox.c.id == intent_id, outbox.c.status == "pending")
        .values(
            claimed_until=until,
            step_since=sa.case((outbox.c.step_since == 0, now), else_=outbox.c.step_since),
        )
    )
    return held if done.rowcount else None


def finish(connection: sa.Connection, intent_id: str) -> bool:
    """An intent is done. False if it was not pending any more."""
    done = connection.execute(
        outbox.update()
        .where(outbox.c.id == intent_id, outbox.c.status == "pending")
        .values(status="done", error=None, step_since=0)
    )
    return bool(done.rowcount)


def get(connection: sa.Connection, intent_id: str) -> Intent | None:
    """By its id: that of an invoice finds the intent to send it."""
    row = connection.execute(sa.select(outbox).where(outbox.c.id == intent_id)).one_or_none()
    return _intent(row) if row is not None else None


def of_invoice(connection: sa.Connection, invoice_id: str) -> dict[str, Intent]:
    """All that was ever to be done for an invoice, by the intents' ids."""
    rows = connection.execute(sa.select(outbox).where(outbox.c.invoice_id == invoice_id))
    return {row.id: _intent(row) for row in rows}


def update(connection: sa.Connection, intent_id: str, **changes: Any) -> None:
    connection.execute(outbox.update().where(outbox.c.id == intent_id).values(**changes))


def retry_failed(connection: sa.Connection, month: Month, account: str | None, now: int) -> None:
    """An operator runs the month again: what failed, or waits for its next attempt, is due now. The void of
    an invoice that was paid meanwhile is not: it has failed for good."""
    ids = sa.select(invoices.c.id).where(invoices.c.month == str(month))
    if account is not None:
        ids = ids.where(invoices.c.account_id == account)
    _retry(connection, ids, now)


def retry_contracts(connection: sa.Connection, contract_id: str | None, now: int) -> None:
    """The same for the invoices of a contract, or of all contracts, which no run of a month is for."""
    ids = sa.select(invoices.c.id).where(invoices.c.kind == "contract")
    if contract_id is not None:
        ids = ids.where(invoices.c.contract_id == contract_id)
    _retry(connection, ids, now)


def retry_invoice(connection: sa.Connection, invoice_id: str, now: int) -> None:
    """The same for one invoice."""
    _retry(connection, sa.select(invoices.c.id).where(invoices.c.id == invoice_id), now)


def _retry(connection: sa.Connection, ids: sa.Select[tuple[str]], now: int) -> None:
    paid = sa.select(invoices.c.id).where(invoices.c.status == "paid")
    connection.execute(
        outbox.update()
        .where(
            outbox.c.invoice_id.in_(ids),
            outbox.c.status.in_(("pending", "failed")),
            sa.or_(outbox.c.kind != "void", outbox.c.invoice_id.not_in(paid)),
        )
        .values(status="pending", next_attempt_at=now)
    )


def due(
    connection: sa.Connection,
    now: int,
    wanted: Wanted = ALL,
    *,
    after: str | None = None,
    limit: int | None = None,
) -> list[str]:
    """The ids of the intents whose next step may be tried now, those of an invoice in their order, oldest
    invoice first; a page of them that begins after an intent."""
    place = (outbox.c.invoice_id, _ORDER, outbox.c.id)
    query = _due(sa.select(outbox.c.id), now, wanted).order_by(*place)
    if after is not None:
        held = connection.execute(sa.select(*place).where(outbox.c.id == after)).one()
        query = query.where(sa.tuple_(*place) > sa.tuple_(*held))
    return list(connection.scalars(query.limit(limit)))


def count_due(connection: sa.Connection, now: int, wanted: Wanted = ALL) -> int:
    """How many there are."""
    query = _due(sa.select(sa.func.count()), now, wanted)
    return int(connection.execute(query).scalar_one())


def count_by_status(connection: sa.Connection) -> dict[str, int]:
    """How many intents of all kinds there are in each status."""
    query = sa.select(outbox.c.status, sa.func.count()).group_by(outbox.c.status)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def _due(query: sa.Select[Any], now: int, wanted: Wanted) -> sa.Select[Any]:
    return _of(query, wanted).where(
        outbox.c.status == "pending",
        has_come(outbox.c.next_attempt_at, now, _LONGEST_WAIT_US),
        _is_free(now),
    )


def _is_free(now: int) -> sa.ColumnElement[bool]:
    """Nobody is at work on it: a claim lasts some minutes at most."""
    return has_come(outbox.c.claimed_until, now, 0)


def _of(query: sa.Select[Any], wanted: Wanted) -> sa.Select[Any]:
    query = query.join_from(outbox, invoices, invoices.c.id == outbox.c.invoice_id)
    asked = {
        invoices.c.month: None if wanted.month is None else str(wanted.month),
        invoices.c.account_id: wanted.account,
        invoices.c.id: wanted.invoice,
    }
    return having(query, asked).where(outbox.c.kind.in_(wanted.kinds))


def claimed(connection: sa.Connection, now: int, wanted: Wanted = ALL) -> bool:
    """Whether another process is at work on one of these."""
    query = _of(sa.select(outbox.c.id), wanted)
    query = query.where(outbox.c.status == "pending", ~_is_free(now))
    return connection.execute(query.limit(1)).one_or_none() is not None


def _intent(row: sa.Row[Any]) -> Intent:
    return Intent(
        row.id,
        row.kind,
        row.invoice_id,
        row.credit_note_id,
        row.step,
        row.status,
        row.attempts,
        row.generation,
        row.step_since,
        row.next_attempt_at,
        row.error,
        row.author,
        row.reason,
    )

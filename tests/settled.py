"""What must hold of our books and Stripe's, whatever went wrong on the way: `assert_safe` at any time,
`assert_at_rest` and, of a plain month, `assert_settled` once everything has come to rest."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
import stripe

from billing.invoices import list_invoices
from billing.payments.stripe_sandbox import RunningSandbox, StripeSandbox
from billing.payments.stripe_sandbox.state import Object
from billing.repository import invoices
from billing.repository.invoices import Invoice
from billing.tables import credit_ledger, credit_notes, outbox
from metering.database import reading

Row = sa.Row[Any]

# What an operator is told names the command to give.
_WHAT_TO_DO = re.compile(r"billing (run 20\d\d|contracts invoice|invoices|accounts)")


def stripe_client(sandbox: RunningSandbox) -> stripe.StripeClient:
    """The real SDK, pointed at the sandbox."""
    base = sandbox.url
    return stripe.StripeClient(
        sandbox.api_key,
        base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
        max_network_retries=0,
    )


def assert_settled(engine: sa.Engine, sandbox: RunningSandbox, accounts: Iterable[str]) -> list[Invoice]:
    """One invoice an account in ours and in Stripe, equal to the cent; numbers without gaps; nothing left to
    send. Answers ours."""
    ours = list_invoices(engine)
    assert sorted(invoice.account for invoice in ours) == sorted(accounts)
    numbers = sorted(invoice.number or "" for invoice in ours)
    assert numbers == [f"2026-10-{place + 1:06d}" for place in range(len(ours))]
    client = stripe_client(sandbox)
    theirs = list(client.v1.invoices.list({"limit": 100}).auto_paging_iter())
    sent = {invoice.id: invoice for invoice in ours if invoice.total}
    assert sorted(_invoice_id(each) for each in theirs) == sorted(sent)
    for each in theirs:
        mine = sent[_invoice_id(each)]
        assert (each.id, each.number) == (mine.stripe_invoice_id, mine.number)
        assert (each.total, each.currency) == (mine.total, "usd")
        lines = [(line.description, line.amount) for line in each.lines.auto_paging_iter()]
        assert sorted(lines) == sorted((line.description, line.amount) for line in mine.lines)
        assert (each.status, each.amount_paid) == (mine.status, mine.amount_paid)
        assert each.status in ("open", "paid")
    with reading(engine) as connection:
        rows = connection.execute(sa.select(outbox.c.invoice_id, outbox.c.status)).all()
    assert sorted((row.invoice_id, row.status) for row in rows) == sorted((id, "done") for id in sent)
    return ours


def _invoice_id(invoice: stripe.Invoice) -> str:
    assert invoice.metadata is not None
    return str(invoice.metadata["invoice_id"])


class _Both:
    """Our books and Stripe's, side by side, as they are at one instant."""

    def __init__(self, engine: sa.Engine, sandbox: StripeSandbox) -> None:
        with reading(engine) as connection:
            self.ours = {each.id: each for each in invoices.search(connection)}
            self.intents = _by(connection, outbox.c.invoice_id)
            self.notes = _by(connection, credit_notes.c.invoice_id)
            self.credit = _by(connection, credit_ledger.c.account_id)
        with sandbox.lock:
            state = sandbox.state
            self.theirs: defaultdict[str, list[Object]] = defaultdict(list)
            for each in state.invoices.rows.values():
                self.theirs[each["metadata"]["invoice_id"]].append(dict(each))
            self.lines = {
                id: sorted((line["description"], line["amount"]) for line in lines)
                for id, lines in state.lines.items()
            }
            self.their_notes: defaultdict[str, list[Object]] = defaultdict(list)
            for each in state.credit_notes.rows.values():
                self.their_notes[each["metadata"]["credit_note_id"]].append(dict(each))
            self.charged: defaultdict[str, int] = defaultdict(int)
            for each in state.invoice_payments.rows.values():
                self.charged[each["invoice"]] += each["amount_paid"] or 0
            for each in state.invoices.rows.values():
                self.charged[each["id"]] += each["amount_paid_off_stripe"]

    def intent(self, intent_id: str, invoice_id: str) -> Row | None:
        return next((each for each in self.intents[invoice_id] if each.id == intent_id), None)

    def live(self, invoice_id: str) -> list[Object]:
        return [each for each in self.theirs[invoice_id] if each["status"] not in ("draft", "void")]

    def drafts(self, invoice_id: str) -> list[Object]:
        return [each for each in self.theirs[invoice_id] if each["status"] == "draft"]


def _by(connection: sa.Connection, column: sa.Column[Any]) -> defaultdict[str, list[Row]]:
    """The rows of the column's table by its value."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in connection.execute(sa.select(column.table)):
        found[getattr(row, column.name)].append(row)
    return found


def assert_safe(engine: sa.Engine, sandbox: StripeSandbox) -> None:
    """At any time: nothing at Stripe that is not ours, never two invoices there that a customer could pay for
    one of ours, nor one that differs; nothing is charged twice, no credit given twice or returned twice."""
    both = _Both(engine, sandbox)
    assert both.theirs.keys() <= both.ours.keys(), "an invoice at Stripe that is not ours"
    for id, mine in both.ours.items():
        assert len(both.live(id)) <= 1, f"two live invoices at Stripe for {mine.number}"
        assert len(both.theirs[id]) <= 1, f"two invoices at Stripe for {mine.number}"
        for held in both.theirs[id]:
            if held["status"] != "draft":
                _assert_equal(mine, held, both.lines[held["id"]])
        charged = sum(both.charged[held["id"]] for held in both.theirs[id])
        assert charged <= mine.total, f"{mine.number} is charged {charged}, more than {mine.total}"
        if mine.status == "void":
            assert not both.live(id), f"{mine.number} is void here and live at Stripe"
        for note in both.notes[id]:
            held_notes = both.their_notes[note.id]
            assert [each["amount"] for each in held_notes] in ([], [note.amount]), f"{note.number}"
        _assert_credit(mine, both.notes[id], both.credit[mine.account])


def assert_at_rest(engine: sa.Engine, sandbox: StripeSandbox, *, done: bool = False) -> None:
    """Once nothing is left that could be done without a person: besides what is always so, every intent is
    done or says what to do (`done`: is done), and what is done is at Stripe as it is here."""
    assert_safe(engine, sandbox)
    both = _Both(engine, sandbox)
    for id, mine in both.ours.items():
        sending = both.intent(id, id)
        for intent in both.intents[id]:
            waits = sending is not None and sending.status == "failed" and intent.kind == "credit_note"
            if not waits or done:
                _assert_rests(mine, intent, done=done)
        if mine.status == "void":
            assert not both.drafts(id), f"{mine.number} is void and has a draft at Stripe"
        elif sending is None:
            assert (mine.total, both.theirs[id]) == (0, []), f"{mine.number} was never to be sent"
        elif sending.status == "done":
            (held,) = both.theirs[id]
            theirs = (held["id"], held["status"], held["amount_paid"])
            assert theirs == (mine.stripe_invoice_id, mine.status, mine.amount_paid), mine.number
        for note in both.notes[id]:
            _assert_note(note, both.intent(note.id, id), both.their_notes[note.id])


def _assert_rests(mine: Invoice, intent: Row, *, done: bool) -> None:
    about = f"{intent.kind} of {mine.number}: {intent.status}, {intent.error}"
    assert intent.status in ("done", "withdrawn", "failed"), about
    if intent.status == "failed":
        assert _WHAT_TO_DO.search(intent.error or ""), f"says not what to do: {about}"
        # A void that came too late stays refused; what to do instead is a credit note.
        assert not done or (intent.kind == "void" and mine.status == "paid"), about
    elif intent.status == "withdrawn":
        assert mine.status == "void", about


def _assert_note(note: Row, intent: Row | None, theirs: list[Object]) -> None:
    assert intent is not None
    if intent.status == "done":
        assert [each["id"] for each in theirs] == [note.stripe_credit_note_id], note.number


def _assert_equal(mine: Invoice, held: Object, lines: list[tuple[str, int]]) -> None:
    ours = sorted((line.description, line.amount) for line in mine.lines)
    assert lines, f"{mine.number} is {held['status']} at Stripe without lines"
    assert (held["number"], held["total"], lines) == (mine.number, mine.total, ours)


def _assert_credit(mine: Invoice, notes: list[Row], ledger: list[Row]) -> None:
    """Used credit is returned once, by a void alone; a note gives account credit once."""
    of = [row for row in ledger if row.invoice_id == mine.id]
    used = -sum(row.amount for row in of if row.kind == "used")
    returned = sum(row.amount for row in of if row.kind == "returned")
    assert returned == (used if mine.status == "void" else 0), f"{mine.number}: {used} used, {returned} back"
    given = sum(row.amount for row in of if row.kind == "credit_note")
    assert given <= min(sum(note.amount for note in notes), mine.amount_paid), f"{mine.number}: {given}"
    left: defaultdict[str, int] = defaultdict(int)
    for row in ledger:
        left[row.credit_id] += row.amount
    assert all(amount >= 0 for amount in left.values()), f"more credit used than there was: {left}"

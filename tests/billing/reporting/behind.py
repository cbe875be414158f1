"""A month, and what `billing prove` says of what is kept beside its invoices, once somebody was at it behind
the service's back."""

from __future__ import annotations

import sqlalchemy as sa

from billing.accounts import add_account
from billing.corrections import correct
from billing.credit_notes import credit_note
from billing.invoices import list_invoices
from billing.reporting.everything import prove
from tests.billing.months import dollars, void
from tests.events import event, runs
from tests.world import OCTOBER, World


def made(engine: sa.Engine) -> World:
    """Three invoices of a month, one of them void, with credit notes; corrections; runs of the next month."""
    world = dollars(engine)
    for account in ("beta", "gamma"):
        add_account(engine, account, now=world.instant, currency="USD", plan="dollar", billing_from=OCTOBER)
    world.send(runs(9), runs(4, account="beta"), runs(5, account="gamma"))
    world.send([event("run-0000001", state="FAILED")], runs(3, prefix="n", day="2026-11-01"))
    world.service.run_month(OCTOBER)
    first, second, _ = list_invoices(engine)
    for amount in ("1", "2"):
        credit_note(engine, first.id, amount, "goodwill", "sorry", by="operator", now=world.instant)
    void(world, second)
    corrected(world, ["run-0000002", "run-0000003"], "reverse", "twice", "ann")
    corrected(world, ["run-0000003"], "restore", "once", "operator")
    world.instant += 1
    corrected(world, ["run-0000004", "run-0000005", "none"], "reverse", "twice", "key key_1")
    world.send(runs(2, prefix="late"))
    return world


def corrected(world: World, ids: list[str], action: str, reason: str, author: str) -> None:
    correct(world.engine, world.store, "acme", ids, action, reason, author=author, now=world.instant)


def rewrite(world: World, statement: str) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def found(world: World, *, counters: bool = False) -> list[str]:
    return [each.says for each in prove(world.engine, world.store, counters=counters).beside]

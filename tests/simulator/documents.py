"""Billing runs, invoices, and what changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulator import runs
from tests.simulator.naive.books import Credit, Invoice
from tests.simulator.naive.calendar import after, first_of
from tests.simulator.naive.outcomes import Log
from tests.simulator.scene import Scene
from tests.simulator.writer import described, lines_of


def bill(scene: Scene, month: str, only: str | None = None) -> None:
    sentence = "bill" if only is None else f"bill {only} alone"
    _bill(scene, sentence, month, only, list(scene.books.log))


def _bill(scene: Scene, sentence: str, month: str, only: str | None, log: Log) -> None:
    made, failed, unknown = scene.books.run(month, only, log)
    says: dict[str, Any] = {sentence: month}
    for invoice in made:
        account = scene.books.accounts[invoice.account]
        says[f"invoice of {invoice.account} for {month}"] = described(account, invoice)
    if failed:
        says["failed"] = failed
    if unknown:
        says["unassigned"] = {account: f"{runs:,} runs" for account, runs in unknown.items()}
    scene.sees(says)


def bill_somehow(scene: Scene, month: str) -> None:
    """As the month is over: at once, twice, account by account, or killed in between and resumed."""
    how = scene.chance.random()
    if how < 0.25:
        scene.sees({"bill and be killed": {"month": month, "at step": str(scene.chance.randint(1, 25))}})
        log = list(scene.books.log)
        for account in scene.books.accounts.values():
            if scene.yes(0.5):
                runs.only(scene, account.id, first_of(month))
        _bill(scene, "bill what a kill left", month, None, log)
    elif how < 0.4 and scene.books.accounts:
        bill(scene, month, scene.account().id)
        bill(scene, month)
    else:
        bill(scene, month)
    if how > 0.8:
        bill(scene, month)


def bill_again(scene: Scene) -> None:
    """A month that is over, be it billed, void or forgotten."""
    over = [month for month in scene.earlier() if first_of(after(month)) < scene.today]
    if over:
        bill(scene, scene.one(*over), scene.one(None, None, scene.account().id))


def early(scene: Scene) -> None:
    """Drafts decide nothing."""
    month = scene.one(scene.month, *scene.earlier())
    says: dict[str, Any] = {"bill early": month}
    failed = scene.books.would_fail(month, None)
    if failed:
        says["failed"] = failed
    unknown = scene.books.strangers(month, scene.books.log)
    if unknown:
        says["unassigned"] = {account: f"{runs:,} runs" for account, runs in unknown.items()}
    scene.sees(says)


def too_early(scene: Scene) -> None:
    scene.story.step(scene.today, {"bill": scene.month}, refused="--early")


def _choose(scene: Scene, good: Callable[[Invoice], bool]) -> Invoice | None:
    found = [each for each in scene.invoices() if each.live and good(each)]
    return scene.one(*found) if found else None


def void(scene: Scene) -> None:
    invoice = _choose(scene, lambda each: True)
    if invoice is not None:
        name = scene.name_of(invoice)
        scene.act(f"void invoice {name}", "a mistake", lambda: scene.books.void(invoice))


def note(scene: Scene) -> None:
    invoice = _choose(scene, lambda each: each.total > 0)
    if invoice is None:
        return
    account, kind = scene.books.accounts[invoice.account], scene.one("usage", "goodwill")
    left = max(1, invoice.total)
    amount = scene.one(scene.amount(account.currency, 50), left)
    said = {"amount": scene.money(amount, account), "kind": kind, "reason": "sorry"}
    do = lambda: scene.books.note(invoice, amount, kind)  # noqa: E731
    scene.act(f"credit note on {scene.name_of(invoice)}", said, do)


def pay(scene: Scene) -> None:
    invoice = _choose(scene, lambda each: each.status == "finalized")
    if invoice is None or scene.at_stripe:
        return
    said = {"status": "paid", "paid": scene.money(invoice.total, scene.books.accounts[invoice.account])}
    scene.act(f"Stripe reports invoice {scene.name_of(invoice)}", said, lambda: scene.books.pay(invoice))


def credit(scene: Scene) -> None:
    account = scene.account()
    amount, reason = scene.amount(account.currency, 500), f"goodwill {scene.number('goodwill')}"
    said = {"amount": scene.money(amount, account), "reason": reason}
    scene.act(f"credit {account.id}", said, lambda: account.credits.append(Credit(amount, reason)))


def invoice_contracts(scene: Scene) -> None:
    """What is due by today; every contract has its own."""
    says: dict[str, Any] = {"invoice contracts": scene.today.isoformat()}
    for invoice in scene.books.invoice_contracts(scene.today):
        account = scene.books.accounts[invoice.account]
        says[f"contract invoice {scene.name_of(invoice)}"] = {
            "contract": invoice.contract,
            "status": invoice.status,
            "lines": lines_of(account, invoice),
            "total": scene.money(invoice.total, account),
        }
    scene.sees(says)


def look(scene: Scene) -> None:
    """Balances of credit and of committed runs."""
    says: dict[str, Any] = {}
    for account in scene.books.accounts.values():
        says[f"credit of {account.id}"] = scene.money(sum(each.left for each in account.credits), account)
        for contract in account.terms.contracts:
            left = scene.books.run_balance(contract.id, scene.today)
            says[f"run balance of {contract.id}"] = f"{left:,}"
    scene.sees(says)

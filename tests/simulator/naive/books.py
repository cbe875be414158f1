"""Invoices, credit notes, credit (docs/rules.md §5, 4 to 6; §6), and what a billing run makes of a month."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from tests.simulator.naive.calendar import after, first_of, month_of, months_between
from tests.simulator.naive.money import COINS
from tests.simulator.naive.month import Line, Month, price, used_by_day
from tests.simulator.naive.outcomes import RANK, Correction, Event, Held, Log, runs_of
from tests.simulator.naive.terms import Catalogue, Contract, Refusal, Terms

CARRIED = "Carried over from"


@dataclass
class Credit:
    left: int
    said: str


@dataclass
class Invoice:
    account: str
    month: str
    lines: tuple[Line, ...]
    status: str
    own: Month | None = None
    counts: dict[str, int] = field(default_factory=dict)
    contract: str | None = None
    carried_to: int | None = None
    notes: dict[str, int] = field(default_factory=lambda: {"usage": 0, "goodwill": 0})
    replaces: bool = False
    paid: int = 0

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def live(self) -> bool:
        return self.status not in ("draft", "void")


@dataclass
class Account:
    id: str
    currency: str
    billed_from: str
    terms: Terms
    credits: list[Credit] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    closed_on: date | None = None
    referrer: str | None = None
    rewarded: bool = False

    def live(self, month: str) -> Invoice | None:
        found = [each for each in self.invoices if each.own and each.live and each.month == month]
        assert len(found) <= 1
        return found[0] if found else None

    def usage_invoices(self) -> list[Invoice]:
        return sorted((each for each in self.invoices if each.own and each.live), key=lambda each: each.month)

    def of_contract(self, contract: str) -> list[Invoice]:
        return [each for each in self.invoices if each.contract == contract and each.own is None]

    def is_after_closing(self, month: str) -> bool:
        return self.closed_on is not None and month > month_of(self.closed_on)


class Books:
    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.accounts: dict[str, Account] = {}
        self.log: Log = []

    # What is said of runs.

    def send(self, events: list[Event]) -> list[bool]:
        """Whether each was accepted: one that is held already in every field is a duplicate."""
        held, accepted = set(self.log), []
        for event in events:
            accepted.append(event not in held)
            if event not in held:
                held.add(event)
                self.log.append(event)
        return accepted

    def correct(self, account: str, runs: list[str], action: str) -> int:
        """Answers how many it changed: only what changes something is recorded."""
        held = runs_of(self.log, account)
        changing = [run for run in runs if (held[run].outcome == "reversed") != (action == "reverse")]
        self.log += [Correction(account, run, action) for run in changing]
        return len(changing)

    # Terms.

    def agree(self, account: Account, terms: Terms, *, amend: bool) -> None:
        """Raises Refusal where the change reaches into an invoiced month and is no amendment."""
        invoiced = [each.month for each in account.usage_invoices()]
        if not amend and any(terms.say_of(month) != account.terms.say_of(month) for month in invoiced):
            raise Refusal("--amend")
        account.terms = terms

    # Billing.

    def compute(self, account: Account, month: str, log: Log) -> Invoice | None:
        """The month's invoice, as of a log; None where there is nothing to say. Raises Refusal."""
        runs, now = runs_of(log, account.id), runs_of(self.log, account.id)
        for earlier in months_between(account.billed_from, month):
            run_before = any(
                each.own and each.status != "draft" and each.month == earlier for each in account.invoices
            )
            if not run_before and not account.is_after_closing(earlier) and _in_month(now, earlier):
                raise Refusal(f"{earlier} has task runs and was not run")
        used = used_by_day({run: held for run, held in runs.items() if held.day < first_of(after(month))})

        def priced(of: str) -> Month:
            return price(account.terms, self.catalogue, account.currency, of, used)

        own = priced(month)
        lines = list(own.lines)
        for of in [*(each.month for each in account.usage_invoices() if each.month < month), month]:
            rated, billed = _billed(account, of, month)
            now_rated, now_amount = (0, 0) if of == month else (priced(of).rated, priced(of).amount)
            if now_amount != billed:
                lines.append(Line("adjustment", now_rated - rated, now_amount - billed, of, month=of))
        due = sum(line.amount for line in lines)
        for which, credit in enumerate(account.credits):
            if due > 0 and credit.left:
                lines.append(Line("credit", None, -min(due, credit.left), credit.said, credit=which))
                due += lines[-1].amount
        if due < 0:
            lines.append(Line("carried", None, -due))
        here = _in_month(runs, month)
        if not here and not lines:
            return None
        counts = Counter(held.outcome for held in here.values())
        if account.is_after_closing(month) and counts["billable"]:
            raise Refusal("was closed on")
        contract = account.terms.contract(month)
        return Invoice(
            account.id,
            month,
            tuple(lines),
            "finalized" if sum(line.amount for line in lines) else "paid",
            own,
            {what: counts[what] for what in RANK},
            contract and contract.id,
            replaces=any(
                each.own and each.status == "void" and each.month == month for each in account.invoices
            ),
        )

    def run(
        self, month: str, only: str | None, log: Log
    ) -> tuple[list[Invoice], dict[str, str], dict[str, int]]:
        """Bill a month: its invoices, why accounts were not billed, and whom billing does not know."""
        made: list[Invoice] = []
        failed: dict[str, str] = {}
        for account in self.accounts.values():
            if only not in (None, account.id) or month < account.billed_from or account.live(month):
                continue
            concerned = _in_month(runs_of(self.log, account.id), month) or [
                each for each in account.usage_invoices() if each.month < month
            ]
            if not concerned:
                continue
            try:
                invoice = self.compute(account, month, log)
            except Refusal as why:
                failed[account.id] = str(why)
                continue
            if invoice is not None:
                self._issue(account, invoice)
                made.append(invoice)
        return made, failed, self.strangers(month, log) if only is None else {}

    def strangers(self, month: str, log: Log) -> dict[str, int]:
        """Accounts that billing does not know, with their billable runs."""
        unknown = {}
        for id in sorted({each.account for each in log} - self.accounts.keys()):
            here = _in_month(runs_of(log, id), month)
            if here:
                unknown[id] = sum(held.outcome == "billable" for held in here.values())
        return unknown

    def _issue(self, account: Account, invoice: Invoice) -> None:
        account.invoices.append(invoice)
        for line in invoice.lines:
            if line.credit is not None:
                account.credits[line.credit].left += line.amount
            if line.kind == "carried":
                invoice.carried_to = len(account.credits)
                account.credits.append(Credit(line.amount, CARRIED))

    def is_open(self, month: str) -> bool:
        """Whether somebody has task runs in a month and no invoice."""
        return any(
            month >= account.billed_from
            and account.live(month) is None
            and _in_month(runs_of(self.log, account.id), month)
            for account in self.accounts.values()
        )

    def would_fail(self, month: str, only: str | None) -> dict[str, str]:
        """Whom a run would name, without billing anybody."""
        failed = {}
        for account in self.accounts.values():
            if only not in (None, account.id) or month < account.billed_from or account.live(month):
                continue
            concerned = _in_month(runs_of(self.log, account.id), month) or [
                each for each in account.usage_invoices() if each.month < month
            ]
            try:
                if concerned:
                    self.compute(account, month, self.log)
            except Refusal as why:
                failed[account.id] = str(why)
        return failed

    # What happens to invoices.

    def void(self, invoice: Invoice) -> None:
        account = self.accounts[invoice.account]
        if invoice.status == "void" or (invoice.status == "paid" and invoice.total):
            raise Refusal("")
        if invoice.carried_to is not None:
            carried = sum(line.amount for line in invoice.lines if line.kind == "carried")
            if account.credits[invoice.carried_to].left != carried:
                raise Refusal("")
            account.credits[invoice.carried_to].left = 0
        for line in invoice.lines:
            if line.credit is not None:
                account.credits[line.credit].left -= line.amount
        invoice.status = "void"

    def note(self, invoice: Invoice, amount: int, kind: str) -> None:
        left = invoice.total - sum(invoice.notes.values())
        if not invoice.live or amount > left or (kind == "usage" and invoice.own is None):
            raise Refusal("")
        invoice.notes[kind] += amount

    def pay(self, invoice: Invoice) -> None:
        """All of it. A referrer is rewarded once at least 1.00 was really paid."""
        invoice.status, invoice.paid = "paid", invoice.total
        for account in self.accounts.values():
            paid = sum(each.paid for each in account.invoices)
            places, step = COINS[account.currency]
            if account.referrer is not None and not account.rewarded and paid >= 10**places * step:
                account.rewarded = True
                referrer = self.accounts[account.referrer]
                places, step = COINS[referrer.currency]
                referrer.credits.append(Credit(50 * 10**places * step, f"referral of {account.id}"))

    # Contracts.

    def contract(self, id: str) -> tuple[Account, Contract]:
        return next((a, c) for a in self.accounts.values() for c in a.terms.contracts if c.id == id)

    def invoice_contracts(self, as_of: date) -> list[Invoice]:
        made = []
        for account in self.accounts.values():
            for contract in account.terms.contracts:
                lines = self._due(account, contract, as_of)
                if lines:
                    made.append(Invoice(account.id, "", tuple(lines), "finalized", contract=contract.id))
                    account.invoices.append(made[-1])
        return made

    def _due(self, account: Account, contract: Contract, as_of: date) -> list[Line]:
        """What has fallen due, less what live invoices hold; what they hold covers the first parts first."""
        covered: Counter[str] = Counter()
        for invoice in account.of_contract(contract.id):
            if invoice.live:
                for line in invoice.lines:
                    covered[str(line.month)] += line.amount
        every = {"monthly": 1, "quarterly": 3}.get(contract.instalments)
        dates = []
        month = month_of(contract.start)
        while every and first_of(month) < contract.end:
            dates.append(first_of(month))
            month = after(month, every)
        parts = []
        _, step = COINS[account.currency]
        for place, grant in enumerate(contract.grants):
            due = [day for day in dates if day >= grant.granted_on] or [grant.granted_on]
            coins, odd = divmod(grant.price // step, len(due))
            for number, day in enumerate(due):
                parts.append(
                    (0, day, place, f"grant/{grant.id}", "instalment", (coins + (number < odd)) * step)
                )
        for number, (_, cost, day) in enumerate(contract.services, start=1):
            parts.append((1, day, number, f"service/{number}", "service", cost))
        lines = []
        for _, day, _, reference, kind, amount in sorted(parts):
            taken = min(covered[reference], amount)
            covered[reference] -= taken
            if day <= as_of and amount > taken:
                lines.append(Line(kind, None, amount - taken, f"{day}", month=reference))
        return lines

    def run_balance(self, id: str, today: date) -> int:
        """Of what was granted by today and has not expired: what the days before today have left."""
        account, contract = self.contract(id)
        used = {day: n for day, n in used_by_day(runs_of(self.log, account.id)).items() if day < today}
        _, left = account.terms.draw(contract, used, today)
        return sum(left[g.id] for g in contract.grants if g.granted_on <= today < g.expires_on)

    def withdraw(self, id: str) -> None:
        account, contract = self.contract(id)
        covered = [each for each in account.usage_invoices() if contract.covers(each.month)]
        if covered or any(each.contract == id for each in account.invoices):
            raise Refusal("")
        without = account.terms.copy()
        without.contracts = [each for each in without.contracts if each.id != id]
        if any(
            without.say_of(each.month) != account.terms.say_of(each.month)
            for each in account.usage_invoices()
        ):
            raise Refusal("went on after contract")
        account.terms = without


def _in_month(runs: dict[str, Held], month: str) -> dict[str, Held]:
    return {run: held for run, held in runs.items() if month_of(held.day) == month}


def _billed(account: Account, of: str, leaving_out: str) -> tuple[int, int]:
    """Runs and amount that live documents billed for a month."""
    runs = amount = 0
    for invoice in account.usage_invoices():
        if invoice.month == leaving_out:
            continue
        if invoice.month == of and invoice.own is not None:
            runs += invoice.own.rated
            amount += invoice.own.amount - invoice.notes["usage"]
        for line in invoice.lines:
            if line.kind == "adjustment" and line.month == of:
                runs += line.runs or 0
                amount += line.amount
    return runs, amount

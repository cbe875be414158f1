"""What all that happens in a simulated story shares: chance, the naive books, the day, and the story."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from tests.simulator.naive.books import Account, Books, Invoice
from tests.simulator.naive.calendar import after, month_of
from tests.simulator.naive.money import COINS, text
from tests.simulator.naive.terms import Refusal
from tests.simulator.writer import Writer


class Scene:
    """`at_stripe`: all is sent to Stripe in the end, and nobody pays before."""

    def __init__(self, seed: int, *, at_stripe: bool = False) -> None:
        self.seed, self.at_stripe = seed, at_stripe
        self.chance = random.Random(seed)
        self.books = Books()
        self.today = date(2027, self.chance.choice((1, 6, 11)), 1)
        self.month = month_of(self.today)
        why = "Drawn from its seed by tests/simulator; what is expected was worked out by its naive books."
        self.story = Writer(f"Seed {seed}", why)
        self.sent: list[tuple[str, int, int, str, str, str]] = []
        """Rows of events: account, first and last run, state, end, seconds."""
        self._numbers: dict[str, int] = {}

    def number(self, of: str) -> int:
        """1, 2, 3, … of each kind of thing."""
        self._numbers[of] = self._numbers.get(of, 0) + 1
        return self._numbers[of]

    def act(
        self, sentence: str, value: object, do: Callable[[], object], sees: dict[str, Any] | None = None
    ) -> bool:
        """A step: in the naive books, and in the story, as refused where they refuse it."""
        try:
            do()
        except Refusal as why:
            self.story.step(self.today, {sentence: value}, refused=str(why))
            return False
        self.story.step(self.today, {sentence: value, **(sees or {})})
        return True

    def sees(self, says: dict[str, Any]) -> None:
        self.story.step(self.today, says)

    # What chance chooses.

    def one(self, *of: Any) -> Any:
        return self.chance.choice(of)

    def yes(self, likely: float) -> bool:
        return self.chance.random() < likely

    def account(self) -> Account:
        return self.chance.choice(list(self.books.accounts.values()))

    def invoices(self) -> list[Invoice]:
        return [each for account in self.books.accounts.values() for each in account.invoices]

    def amount(self, code: str, most: int = 300) -> int:
        """Minor units, at least the smallest coin."""
        return self.chance.randint(1, most) * COINS[code][1]

    def near(self) -> str:
        """A month around this one."""
        return self.one(*(after(self.month, n) for n in (0, 1, 1, 2)), *self.earlier())

    def earlier(self) -> list[str]:
        first = month_of(date(2027, 1, 1))
        return [m for m in (month_of(self.today - timedelta(days=31 * n)) for n in (1, 2, 3)) if m >= first]

    def day(self) -> date:
        """A day around today, often the first of a month."""
        near: date = self.today + timedelta(days=self.chance.randint(-70, 100))
        return near.replace(day=1) if self.yes(0.4) else near

    def name_of(self, invoice: Invoice) -> str:
        """How the story calls it: `a/2027-03`, or `c1#2` for the second of a contract."""
        account = self.books.accounts[invoice.account]
        if invoice.own is not None:
            return f"{invoice.account}/{invoice.month}"
        place = account.of_contract(str(invoice.contract)).index(invoice) + 1
        return f"{invoice.contract}#{place}"

    def money(self, amount: int, account: Account) -> str:
        return text(amount, account.currency)

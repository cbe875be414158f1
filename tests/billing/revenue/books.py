"""Facts for tests: documents with lines of round amounts, and random books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from billing.pricing.contract import Contract, Grant, Instalments
from billing.pricing.line import LineKind
from billing.pricing.line import flat_line as flat
from billing.revenue.facts import (
    AccountFacts,
    Commitment,
    CreditRow,
    Delivery,
    Document,
    Note,
    Payment,
    Reversal,
    Status,
)
from billing.revenue.recognition import earned
from metering.period import DAY_US, Month, day_start

START = date(2026, 1, 1)
MONTHS = [Month(2026, number) for number in range(1, 7)]
END = date(2026, 7, 1)


def at(day: str | date) -> int:
    """Noon of a day."""
    return day_start(date.fromisoformat(day) if isinstance(day, str) else day) + DAY_US // 2


def document(number: str, issued: str | date, lines: Mapping[LineKind, int], **more: Any) -> Document:
    """An invoice whose lines have these amounts; it is of the month before it was issued."""
    issued_at = at(issued)
    month = more.pop("month", Month.of(issued_at).previous())
    made = tuple(flat(kind, f"Program academia: {kind}", amount, "USD") for kind, amount in lines.items())
    total = sum(lines.values())
    due = date.fromordinal((issued_at // DAY_US) + date(1970, 1, 1).toordinal() + 30)
    values = {"kind": "usage", "status": "open", "plan": "standard@2021-02", "due_on": due, **more}
    return Document(
        number, "acme", currency="USD", month=month, lines=made, total=total, issued_at=issued_at, **values
    )


def paid(made: Document, day: date) -> Document:
    """All that is left of it, on a day after its notes."""
    due = made.total + made.tax - sum(each.amount for each in made.notes) - made.paid
    return replace(
        collected(made, due, day), status="paid", statuses=(*made.statuses, Status("paid", at(day)))
    )


def collected(made: Document, amount: int, day: date | str) -> Document:
    """Another payment, if it is one of anything."""
    new = Payment(len(made.payments) + 1, amount, at(day))
    return replace(made, payments=(*made.payments, new) if amount else made.payments)


amounts = st.integers(1, 1_000_000)
days = st.integers(0, 150).map(lambda n: START + timedelta(n))


@st.composite
def usage_documents(draw: Any, credit: list[CreditRow]) -> list[Document]:
    """Invoices of several months: paid, open, given up, credited, void and issued again."""
    made = []
    for place, month in enumerate(MONTHS[:4]):
        issued = date.fromordinal(month.next().last_day.toordinal() - draw(st.integers(0, 27)))
        lines = {LineKind.USAGE: draw(amounts), LineKind.PROGRAM_DISCOUNT: -draw(st.integers(0, 1))}
        lines[LineKind.ADJUSTMENT] = draw(st.integers(0, 500))
        # Never more than there is to pay.
        used = draw(st.integers(0, min(lines[LineKind.USAGE], sum(lines.values()))))
        lines[LineKind.CREDIT] = -used
        number = f"{month}-{place:06d}"
        credit.append(CreditRow(f"crd{place}", "goodwill", used, at(START), "sorry", None))
        credit.append(CreditRow(f"crd{place}", "used", -used, at(issued), "used", number))
        each = document(number, issued, lines, tax=draw(st.sampled_from((0, 7))), month=month)
        later = issued + timedelta(draw(st.integers(0, 40)))
        if draw(st.booleans()):
            part = draw(st.integers(-each.total, each.total)) // 3
            each = collected(each, part, issued)
        match draw(st.sampled_from(("open", "paid", "noted", "after", "given up", "saved", "lost", "void"))):
            case "paid":
                each = paid(each, later)
            case "noted" if each.total > 1:
                note = Note("CN1", each.total // 2, "usage", at(later), "x", is_settled=True)
                each = paid(replace(each, notes=(note,)), later)
            case "after" if each.total > 1:
                row = CreditRow(f"back{place}", "credit_note", each.total // 2, at(later), "x", number, "CN2")
                note = Note("CN2", row.amount, "goodwill", at(later), "x", is_settled=True)
                each = replace(paid(each, issued), notes=(note,), given_back=(row,))
                credit.append(row)
            case "given up":
                each = replace(each, status="uncollectible", statuses=(Status("uncollectible", at(later)),))
            case "saved":
                each = paid(replace(each, statuses=(Status("uncollectible", at(issued)),)), later)
            case "lost" if each.total > 1:
                # Given up; then some of it is paid and credited, and perhaps all of it is paid or void.
                given_up = Status("uncollectible", at(issued))
                note = Note("CN4", each.total // 2, "usage", at(later), "x", is_settled=True)
                each = replace(each, status="uncollectible", statuses=(given_up,), notes=(note,))
                each = collected(each, draw(st.integers(0, max(each.total, 0) // 3)), later)
                last = later + timedelta(draw(st.integers(0, 9)))
                ends = draw(st.sampled_from(("", "paid", "void", "open")))
                if ends == "paid":
                    each = paid(each, last)
                elif ends == "open":
                    each = replace(each, status="open", statuses=(given_up, Status("open", at(last))))
                elif ends == "void":
                    back = CreditRow(f"crd{place}", "returned", used, at(last), "returned", number)
                    credit.append(back)
                    each = replace(each, status="void", voided_at=at(last), undone=(back,))
            case "void":
                back = CreditRow(f"crd{place}", "returned", used, at(later), "returned", number)
                credit.append(back)
                note = Note("CN3", each.total // 2 + 1, "goodwill", at(issued), "x", is_settled=False)
                times = draw(st.lists(st.integers(at(issued), at(later) + 20 * DAY_US), max_size=2))
                gone = tuple(Reversal(f"re_{n}", "refund", 5, time) for n, time in enumerate(times))
                each = collected(each, draw(st.integers(0, max(each.total, 0) // 3)), later)
                each = replace(each, status="void", voided_at=at(later), undone=(back,), notes=(note,))
                each = replace(each, reversals=gone)
                made.append(replace(document(f"{number}b", later, lines, month=month), replaces=True))
                credit.append(CreditRow(f"crd{place}", "used", -used, at(later), "used", f"{number}b"))
        made.append(each)
    return made


@st.composite
def contracts(draw: Any) -> Contract:
    grants = []
    for number in range(draw(st.integers(1, 3))):
        begins = draw(days)
        ends = begins + timedelta(draw(st.integers(1, (END - begins).days)))
        grants.append(Grant(f"g{number}", draw(st.integers(1, 2_000)), draw(amounts), begins, ends))
    return Contract("c1", "acme", START, END, "standard", "USD", Instalments.UPFRONT, tuple(grants))


@st.composite
def contract_books(draw: Any) -> tuple[Contract, list[Document], Commitment]:
    """A contract whose price is invoiced in parts, some of them void first; usage of a month may become
    known in a later one."""
    contract = draw(contracts())
    price = sum(each.price for each in contract.grants)
    cuts = sorted(draw(st.lists(st.integers(1, max(price - 1, 1)), max_size=3, unique=True)))
    made = []
    for place, (start, end) in enumerate(zip([0, *cuts], [*cuts, price], strict=True)):
        day = draw(days)
        lines = {LineKind.INSTALMENT: end - start}
        each = document(f"K-{place}", day, lines, kind="contract", contract="c1")
        if draw(st.booleans()):
            again = day + timedelta(draw(st.integers(0, 30)))
            made.append(replace(each, number=f"K-{place}b", issued_at=at(again)))
            each = replace(each, status="void", voided_at=at(again))
        made.append(each)
    usage: dict[date, int] = {}
    closes = []
    for month in MONTHS:
        for day in draw(st.lists(st.integers(0, month.last_day.timetuple().tm_yday - 1), max_size=4)):
            usage[START + timedelta(day)] = usage.get(START + timedelta(day), 0) + draw(st.integers(1, 900))
        closes.append(earned(contract, usage, month, is_final=True))
    delivery = Delivery(1, "Onboarding", 500, draw(days))
    lines = {LineKind.SERVICE: 500}
    made.append(document("K-service", draw(days), lines, kind="contract", contract="c1"))
    return contract, made, Commitment("c1", tuple(closes), (delivery,))


@st.composite
def books(draw: Any) -> tuple[Contract, AccountFacts]:
    credit: list[CreditRow] = []
    documents = draw(usage_documents(credit))
    contract, more, commitment = draw(contract_books())
    return contract, AccountFacts("acme", "USD", (*documents, *more), tuple(credit), (commitment,))

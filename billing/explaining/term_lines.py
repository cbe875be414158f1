"""Lines of terms and of earlier months: program, protection, adjustments, credit (docs/rules.md §5)."""

from __future__ import annotations

from billing.explaining.facts import Adjusted, Facts
from billing.explaining.steps import PERCENT, Operation, Step, Value, money, step
from billing.pricing.line import Line, LineKind
from billing.pricing.money import format_amount, plain
from billing.reporting.contract_text import long_day, month_name

RATED = (LineKind.USAGE, LineKind.ON_DEMAND)
_PRICED = (*RATED, LineKind.PROGRAM_DISCOUNT, LineKind.PRICE_PROTECTION)
Explained = tuple[str, tuple[Step, ...]]


def explain_program(facts: Facts, _line: Line) -> Explained:
    program = facts.program
    if program is None:
        return "The program that this discount is from is no longer agreed for this month.", ()
    usage = _sum(facts, [each for each in facts.lines if each.kind in RATED], "usage")
    share = step(Operation.PERCENT, usage.result, Value(program.percentage, PERCENT), what="off")
    rounded = step(Operation.ROUND, Value(share.result.number, facts.currency))
    percent = plain(program.percentage)
    sentence = (
        f"The program {program.name} takes {percent}% off what the runs of a month cost. It holds on the "
        f"first day of the month, and so for all of it; it ends on {long_day(program.ends_on)}."
    )
    return sentence, (usage, share, rounded, step(Operation.NEGATE, rounded.result))


def explain_protection(facts: Facts, _line: Line) -> Explained:
    protection = facts.protection
    if protection is None:
        return "The price protection that this is from is no longer agreed for this month.", ()
    before = [each for each in facts.lines if each.kind in (*RATED, LineKind.PROGRAM_DISCOUNT)]
    due = _sum(facts, before, "before protection")
    most = money(protection.charge, facts.currency, "the most that a month costs")
    sentence = (
        f"The price of a month is protected: until {long_day(protection.ends_on)} a month's runs cost no "
        f"more than {format_amount(protection.charge, facts.currency)}."
    )
    return sentence, (due, step(Operation.SUBTRACT, most, due.result))


def explain_adjustment(facts: Facts, line: Line) -> Explained:
    month = line.month
    assert month is not None, "an adjustment says which month it is for"
    held = facts.adjusted[month]
    code = facts.currency
    if month == facts.period:
        billed = _billed(held, code)
        sentence = (
            f"Other invoices billed this for {month_name(month)} {month.year} already, while an earlier "
            "invoice for it, which is void now, was in force."
        )
        return sentence, (billed, step(Operation.NEGATE, billed.result))
    values = [money(each.amount, code, _short(each)) for each in held.lines if each.kind in _PRICED]
    now = step(
        Operation.ADD,
        *(values or [money(0, code, "no runs to pay for")]),
        what=f"{month_name(month)} {month.year} as it is now",
    )
    billed = _billed(held, code)
    return _adjustment_sentence(line, held), (
        now,
        billed,
        step(Operation.SUBTRACT, now.result, billed.result),
    )


def _billed(held: Adjusted, code: str) -> Step:
    documents = held.billed
    values = [money(each.amount, code, each.what) for each in documents] or [money(0, code, "nothing")]
    return step(Operation.ADD, *values, what="billed before")


def _adjustment_sentence(line: Line, held: Adjusted) -> str:
    assert line.month is not None
    name = f"{month_name(line.month)} {line.month.year}"
    again = (
        f"An invoice is never edited; the month is priced again on plan {held.plan}, and the difference is "
        f"{'billed' if line.amount > 0 else 'taken off'} here."
    )
    if not line.quantity:
        return (
            f"What was agreed for {name}, or credited for it, has changed since it was invoiced; its "
            f"{held.runs_now:,} runs have not. {again}"
        )
    change = "more" if line.quantity > 0 else "fewer"
    noun = "run" if abs(line.quantity) == 1 else "runs"
    also = " What was agreed for it, or credited, has changed as well." if held.otherwise else ""
    return (
        f"{name} has {abs(line.quantity):,} {noun} {change} than were billed for it: {held.runs_now:,}, not "
        f"{held.runs_before:,}. Runs came late, or were taken back.{also} {again}"
    )


def explain_credit(facts: Facts, line: Line) -> Explained:
    """Credit is used oldest first, until nothing is left to pay."""
    at = facts.lines.index(line)
    held = facts.credits.get(line.reference or "")
    due = _sum(facts, facts.lines[:at], "to pay before it")
    if held is None:
        return "The credit that this used is no longer in the account's books.", ()
    left = money(held.amount, facts.currency, "left of this credit")
    used = step(Operation.LEAST, due.result, left)
    sentence = (
        f"Account credit, for: {held.description}. Credit is used oldest first, until nothing is left to pay."
    )
    return sentence, (due, used, step(Operation.NEGATE, used.result))


def explain_carried(facts: Facts, line: Line) -> Explained:
    at = facts.lines.index(line)
    due = _sum(facts, facts.lines[:at], "before this line")
    sentence = (
        "The lines above come to less than nothing. The invoice is for nothing, and what you are owed is "
        "account credit, which the next invoices use."
    )
    return sentence, (due, step(Operation.NEGATE, due.result))


def _sum(facts: Facts, lines: list[Line] | tuple[Line, ...], what: str) -> Step:
    values = [money(each.amount, facts.currency, _short(each)) for each in lines]
    return step(Operation.ADD, *(values or [money(0, facts.currency, "nothing")]), what=what)


def _short(line: Line) -> str:
    """What a line is called in a sum."""
    text = line.description.partition(":")[0].partition(" at ")[0].removesuffix(" (free)")
    return text[:1].lower() + text[1:]

#!/usr/bin/env python3
"""Checks an invoice and its run list: python3 verify_invoice.py INVOICE.json RUNS.csv

It needs Python 3.8 alone, and counts and prices again, in fractions. Exit: 0 all holds, 1 something does not,
2 wrong usage, 3 what was checked holds, and some lines rest on other documents, and were not."""

import hashlib
import json
import re
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

WHOLE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF ISK UGX".split()  # noqa: SIM905
PLACES = {**dict.fromkeys(WHOLE, 0), **dict.fromkeys("BHD JOD KWD OMR TND".split(), 3)}  # noqa: SIM905
ROW = re.compile(rb"(.+),(.{10})(T[0-9:.]+)Z,([0-9]+)\n")


def check_run_list(invoice, path):
    """Digest, form and quantity. Reads line by line: the list may be of any length."""
    days, wrong, last = Counter(), Counter(), b""
    start, end = (invoice["period"][name].rstrip("Z") for name in ("start", "end"))
    with Path(path).open("rb") as file:
        digest = hashlib.sha256(header := file.readline())
        for line in file:
            digest.update(line)
            row = ROW.fullmatch(line)
            wrong["Every line is a task run, a time and a duration."] += row is None
            if row:
                run, day = row[1], row[2].decode()
                run = run[1:-1].replace(b'""', b'"') if run.startswith(b'"') else run
                wrong["The task runs are in order, and none is there twice."] += run <= last
                wrong["Every task run ended in the month."] += not start <= day + row[3].decode() < end
                wrong["Every task run took longer than a second."] += int(row[4]) <= 1_000_000
                days[day] += 1
                last = run
    told, quantity, by_day = digest.hexdigest(), sum(days.values()), invoice["usage_by_day"]
    yield told == invoice["run_list_sha256"], "The run list has the SHA-256 of the invoice.", told
    yield header == b"task_run_id,ended_at,duration_us\n", "The run list begins with its header.", header
    yield from ((not lines, sentence, f"{lines:,} lines") for sentence, lines in wrong.items())
    yield quantity == invoice["billable"], f"{invoice['billable']:,} task runs are billed.", quantity
    odd = sorted(day for day in {*by_day, *days} if by_day.get(day, {}).get("billable", 0) != days[day])
    yield not odd, "Each day has as many task runs as the invoice says.", odd
    for name, quantity in invoice["not_billed"].items():
        of_days = sum(counts.get(name, 0) for counts in by_day.values())
        yield of_days == quantity, f"{quantity:,} task runs were {name}, day by day and together.", of_days


def to_minor(exact, code):  # rounded half up by magnitude; two currencies are in hundredths of whole coins
    coins = int(abs(exact) * 10 ** PLACES.get(code, 2) + Fraction(1, 2))
    return (coins if exact >= 0 else -coins) * (100 if code in ("ISK", "UGX") else 1)


def check_lines(invoice):
    """Each line by the rule of its kind, and the total. What rests on other documents holds as None."""
    code, lines, drawn = invoice["currency"], invoice["lines"], (invoice["contract"] or {}).get("drawn")
    runs, rated = invoice["billable"] - (drawn or 0), "usage" if drawn is None else "on_demand"
    upper = [0, *(min(runs, bracket["up_to"] or runs) for bracket in invoice["brackets"])]
    due = [[upper[at + 1] - upper[at], each["unit_price"]] for at, each in enumerate(invoice["brackets"])]
    found = [[line["quantity"], line["unit_price"]] for line in lines if line["kind"] == rated]
    yield found == [row for row in due if row[0]], f"{runs:,} task runs by {invoice['plan']}.", due
    yield invoice["kind"] == "usage" or not due, "Only an invoice for usage prices task runs.", due
    before, one = 0, to_minor(1, code)
    for line in lines:
        name, kind, amount, exact = (line[each] for each in ("description", "kind", "amount", "exact_amount"))
        yield amount == to_minor(Fraction(exact), code), f"Rounded once, half up: {name}.", exact
        figures = re.findall(r"([0-9,.]+)(?:% off [0-9]| [A-Z]{3} a month)", name) or ["0"]
        figure = Fraction(figures[-1].replace(",", ""))
        rules = {
            rated: Fraction(exact) == line["quantity"] * Fraction(line["unit_price"] or 0),
            "program_discount": amount == -to_minor(Fraction(before, one) * figure / 100, code) < 0,
            "price_protection": amount == figure * one - before < 0,
            "credit": 0 < -amount <= before,
            "carried": amount == -before > 0,
            **dict.fromkeys(["instalment", "service"] if invoice["kind"] == "contract" else ["adjustment"]),
        }
        yield rules.get(kind, False), f"After {before:,}, {amount:,} for: {name}.", f"a line of kind {kind}"
        before += amount
    yield before == invoice["total"] >= 0, f"The lines sum to the total, {invoice['total']:,}.", before


def main(arguments):
    try:
        invoice = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        results = [] if invoice["kind"] == "contract" else [*check_run_list(invoice, arguments[1])]
        results += check_lines(invoice)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"{__doc__.splitlines()[0]}; these are not: {error!r}", file=sys.stderr)
        return 2
    for holds, sentence, found in results:
        word = "NOT CHECKED" if holds is None else "holds" if holds else f"DOES NOT HOLD ({found})"
        print(f"{word}: {sentence}")
    told, name = Counter(holds for holds, *_ in results), invoice["number"] or invoice["id"]
    print(f"{name}: {told[True]} hold, {told[False]} do not, {told[None]} not checked.")
    return 1 if told[False] else 3 if told[None] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

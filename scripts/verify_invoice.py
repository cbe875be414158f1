"""Checks an invoice and its run list: python3 verify_invoice.py INVOICE.json RUNS.csv

It needs Python 3.8 alone. Exit: 0 all holds, 1 something does not, 2 wrong usage, 3 what was checked
holds, and some lines rest on other documents, and were not."""

import hashlib
import json
import re
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

WHOLE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF ISK UGX".split()  # noqa: SIM905
PLACES = {**dict.fromkeys(WHOLE, 0), **dict.fromkeys("BHD JOD KWD OMR TND".split(), 3)}  # noqa: SIM905
ORDER = "instalment service usage on_demand program_discount price_protection adjustment credit carried"
ROW = re.compile(rb"(.+),(.{10})(T[0-9:.]+)Z,([0-9]+)\n")


def check_run_list(invoice, path):  # line by line: it may be of any length
    days, wrong, last, by_day = Counter(), Counter(), b"", invoice["usage_by_day"]
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
                days[day], last = days[day] + 1, run
    year, month = int(start[:4]), int(start[5:7])
    firsts = [f"{year}-{month:02}-01T00:00:00Z", f"{year + month // 12}-{month % 12 + 1:02}-01T00:00:00Z"]
    whole = list(invoice["period"].values()) == firsts and (invoice["number"] or start).startswith(start[:8])
    yield whole, "The period is the calendar month with which the number begins.", invoice["period"]
    told, quantity = digest.hexdigest(), sum(days.values())
    yield told == invoice["run_list_sha256"], "The run list has the SHA-256 of the invoice.", told
    yield header == b"task_run_id,ended_at,duration_us\n", "The run list begins with its header.", header
    yield from ((not lines, sentence, f"{lines:,} lines") for sentence, lines in wrong.items())
    yield quantity == invoice["billable"], f"{invoice['billable']:,} task runs are billed.", quantity
    odd = sorted(day for day in {*by_day, *days} if by_day.get(day, {}).get("billable", 0) != days[day])
    yield not odd, "Each day has as many task runs as the invoice says.", odd
    told = {**invoice["not_billed"], "billable": quantity}
    summed = sum(map(Counter, by_day.values()), Counter())
    for name in {**told, **summed}:
        said = f"{told.get(name, 0):,} task runs were {name}, day by day and together."
        yield told.get(name, 0) == summed[name], said, summed[name]


def to_minor(exact, code):  # rounded half up by magnitude; two currencies are in hundredths of whole coins
    coins = int(abs(exact) * 10 ** PLACES.get(code, 2) + Fraction(1, 2))
    return (coins if exact >= 0 else -coins) * (100 if code in ("ISK", "UGX") else 1)


def check_lines(invoice):  # what rests on other documents holds as None
    code, lines, brackets = invoice["currency"], invoice["lines"], invoice["brackets"]
    drawn, rated = (invoice["contract"]["drawn"] or 0, "on_demand") if invoice["contract"] else (0, "usage")
    runs, before, one = invoice["billable"] - drawn, 0, to_minor(1, code)
    whole = type(drawn) is int
    yield whole and 0 <= drawn <= invoice["billable"], f"{drawn} were drawn from committed runs.", drawn
    tops = [each["up_to"] for each in brackets]
    sound = tops[-1:] == [None] * (invoice["kind"] == "usage") and None not in tops[:-1]
    sound = sound and all(low < top for low, top in zip([0, *tops], tops[:-1]))  # noqa: B905
    sound = sound and all(Fraction(each["unit_price"]) >= 0 for each in brackets)
    yield sound, "Brackets, of usage alone, ascend; only the last is open; no price is negative.", brackets
    upper = [0, *(min(runs, top or runs) for top in tops)]
    due = [[upper[at + 1] - upper[at], each["unit_price"]] for at, each in enumerate(brackets)]
    found = [[line["quantity"], line["unit_price"]] for line in lines if line["kind"] == rated]
    yield found == [row for row in due if row[0]], f"{runs:,} task runs by {invoice['plan']}.", due
    kinds = [line["kind"] for line in lines]
    yield kinds == sorted(kinds, key=ORDER.find), "The kinds of lines are in their order.", kinds
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
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
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

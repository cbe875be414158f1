#!/usr/bin/env python3
"""Checks an invoice against its run list: python3 verify_invoice.py INVOICE.json RUNS.csv

Stands alone: it needs the standard library of Python 3.8 or newer, and nothing of the service that made the
invoice. It counts and prices again, in fractions. Exit: 0 all holds, 1 something does not, 2 wrong usage."""

import hashlib
import json
import re
import sys
from collections import Counter
from fractions import Fraction
from math import floor
from pathlib import Path

WHOLE = set("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF ISK UGX".split())  # noqa: SIM905
PLACES = {**dict.fromkeys(WHOLE, 0), **dict.fromkeys("BHD JOD KWD OMR TND".split(), 3)}  # noqa: SIM905
COUNTED_IN_HUNDREDTHS = ("ISK", "UGX")  # of whole coins: 500 is 5
RATED = ("usage", "on_demand")
DAMAGE = {
    "shape": "Every line is a task run, a time and a duration.",
    "order": "The task runs are in order, and none is there twice.",
    "month": "Every task run ended in the month of the invoice.",
    "short": "Every task run took longer than a second.",
}


def check_run_list(invoice, path, check):
    """Digest, form and quantity. Reads line by line: it may be of any length."""
    digest, days, damage, quantity, last = hashlib.sha256(), Counter(), Counter(), 0, b""
    start, end = (invoice["period"][name].rstrip("Z") for name in ("start", "end"))
    with Path(path).open("rb") as file:
        header = file.readline()
        digest.update(header)
        for line in file:
            digest.update(line)
            quantity += 1
            try:
                run, ended_at, duration = line.rsplit(b",", 2)
                instant, microseconds = ended_at.decode().rstrip("Z"), int(duration)
            except ValueError:
                damage["shape"] += 1
                continue
            run = run[1:-1].replace(b'""', b'"') if run.startswith(b'"') else run
            damage["order"] += run <= last
            damage["month"] += not start <= instant < end
            damage["short"] += microseconds <= 1_000_000
            days[instant[:10]] += 1
            last = run
    digest = digest.hexdigest()
    check(digest == invoice["run_list_sha256"], "The run list has the SHA-256 of the invoice.", digest)
    check(header == b"task_run_id,ended_at,duration_us\n", "The run list begins with its header.", header)
    for name, sentence in DAMAGE.items():
        check(not damage[name], sentence, f"{damage[name]:,} lines")
    billed = f"{invoice['billable']:,} task runs are billed, and are in the run list."
    check(quantity == invoice["billable"], billed, f"{quantity:,} lines")
    told = {day: held["billable"] for day, held in invoice["usage_by_day"].items() if held.get("billable")}
    wrong = sorted(day for day in {*told, *days} if told.get(day) != days.get(day))
    check(not wrong, "Each day has as many task runs as the invoice says.", ", ".join(wrong))


def check_outcomes(invoice, check):
    """The counts by outcome are those of the days together."""
    by_day = Counter()
    for counts in invoice["usage_by_day"].values():
        by_day.update(counts)
    for name, quantity in {"billable": invoice["billable"], **invoice["not_billed"]}.items():
        sentence = f"{quantity:,} task runs were {name.replace('_', ' ')}, day by day and together."
        check(by_day[name] == quantity, sentence, f"{by_day[name]:,} day by day")


def to_minor(exact, code):
    """Rounded half up, of a negative amount its magnitude; in minor units."""
    coins = floor(abs(exact) * 10 ** PLACES.get(code, 2) + Fraction(1, 2))
    return (coins if exact >= 0 else -coins) * (100 if code in COUNTED_IN_HUNDREDTHS else 1)


def brackets_of(quantity, brackets, code):
    """Quantity, price, exact and rounded amount of each bracket that holds some of the runs."""
    lower = 0
    for bracket in brackets:
        price = Fraction(bracket["unit_price"])
        inside = min(quantity, bracket["up_to"] or quantity) - lower
        if inside > 0:
            yield inside, price, inside * price, to_minor(inside * price, code)
        lower = bracket["up_to"] or lower


def check_lines(invoice, check):
    """Brackets, rounding, discount, protection and the total."""
    code, lines = invoice["currency"], invoice["lines"]
    rated = [line for line in lines if line["kind"] in RATED]
    if invoice["kind"] != "contract":
        quantity = invoice["billable"] - ((invoice["contract"] or {}).get("drawn") or 0)
        found = [
            (each["quantity"], Fraction(each["unit_price"]), Fraction(each["exact_amount"]), each["amount"])
            for each in rated
        ]
        sentence = f"The lines for task runs are {quantity:,} in the brackets of plan {invoice['plan']}."
        again = list(brackets_of(quantity, invoice["brackets"], code))
        check(found == again, sentence, f"they are {[(each[0], each[3]) for each in again]}")
    wrong = [
        each["description"]
        for each in lines
        if to_minor(Fraction(each["exact_amount"]), code) != each["amount"]
    ]
    check(not wrong, "Every line is rounded once, half up.", "; ".join(wrong))
    before = 0
    for line in lines:
        name, kind, amount = line["description"], line["kind"], line["amount"]
        percent, most = re.search(r"([0-9.]+)% off", name), re.search(r"at most ([0-9,.]+) ", name)
        if kind == "program_discount":
            usage = Fraction(sum(each["amount"] for each in rated), to_minor(Fraction(1), code))
            due = percent and -to_minor(usage * Fraction(percent[1]) / 100, code)
            check(amount == due, f"The discount is that percentage: {name}.", f"{due}, not {amount}")
        elif kind == "price_protection":
            due = most and to_minor(Fraction(most[1].replace(",", "")), code) - before
            check(amount == due, f"The month costs that: {name}.", f"{due}, not {amount}")
        elif kind in ("credit", "carried"):
            fits = 0 < -amount <= before if kind == "credit" else amount == -before
            check(fits, f"No more than was left to pay: {name}.", f"{before} was left")
        elif kind not in RATED:
            print(f"taken as it is, since it rests on other documents: {name}")
        before += amount
    sentence = f"The lines sum to the total, {invoice['total']:,} in the smallest unit of {code}."
    check(before == invoice["total"] >= 0, sentence, f"{before:,}")


def main(arguments):
    results = []

    def check(holds, sentence, found):
        results.append(holds)
        print(f"holds: {sentence}" if holds else f"DOES NOT HOLD: {sentence} Found: {found}")

    if len(arguments) != 2:
        print("usage: python3 verify_invoice.py INVOICE.json RUNS.csv", file=sys.stderr)
        return 2
    try:
        invoice = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        if invoice["kind"] == "contract":
            print("This invoice is for a contract: it bills no task runs, and has no run list.")
        else:
            check_run_list(invoice, arguments[1], check)
            check_outcomes(invoice, check)
        check_lines(invoice, check)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"this is not an invoice with its run list: {error!r}", file=sys.stderr)
        return 2
    failed = results.count(False)
    told = f"{failed} of these do not hold." if failed else "all of it holds."
    print(f"{invoice['number'] or invoice['id']}: {told}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

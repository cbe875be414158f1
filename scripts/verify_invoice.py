"""Checks an invoice and its run list, with Python 3.8 alone: python3 verify_invoice.py INVOICE.json RUNS.csv
Exit: 0 all holds, 1 something does not, 2 wrong usage, 3 some lines rest on other documents, not checked."""

import hashlib, json, re, sys
from collections import Counter
from datetime import datetime
from fractions import Fraction
from math import inf

WHOLE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF ISK UGX".split()
PLACES = {**dict.fromkeys(WHOLE, 0), **dict.fromkeys("BHD JOD KWD OMR TND".split(), 3)}
ORDER = "instalment service usage on_demand program_discount price_protection adjustment credit carried"
ROW = re.compile(rb"(.+),([0-9-]{10}T[0-9:]{8})[.0-9]*Z,([0-9]+)\n")


def check_run_list(invoice, path):  # line by line: it may be of any length
    days, wrong, last, by_day = Counter(), Counter(), b"", invoice["usage_by_day"]
    start, end = (datetime.fromisoformat(invoice["period"][name].rstrip("Z")) for name in ("start", "end"))
    with open(path, "rb") as file:
        digest = hashlib.sha256(header := file.readline())
        for line in file:
            digest.update(line)
            wrong["Every line is a task run, a time and a duration."] += not (row := ROW.fullmatch(line))
            if row:
                run, ended = row[1], datetime.fromisoformat(row[2].decode())
                run = run[1:-1].replace(b'""', b'"') if run.startswith(b'"') else run
                wrong["The task runs are in order, and none is there twice."] += run <= last
                wrong["Every task run ended in the month."] += not start <= ended < end
                wrong["Every task run took longer than a second."] += int(row[3]) <= 1_000_000
                days[row[2][:10].decode()], last = days[row[2][:10].decode()] + 1, run
    firsts = [12 * each.year + each.month for each in (start, end) if f"{each:%d%T}" == "0100:00:00"]
    yield firsts[1:] == [1 + month for month in firsts[:1]] != [], "The period is a calendar month.", firsts
    yield (invoice["number"] or str(start))[:8] == str(start)[:8], "The number begins with it.", str(start)
    told, quantity = digest.hexdigest(), sum(days.values())
    yield told == invoice["run_list_sha256"], "The run list has the SHA-256 of the invoice.", told
    yield header == b"task_run_id,ended_at,duration_us\n", "The run list begins with its header.", header
    yield from ((not lines, sentence, f"{lines:,} lines") for sentence, lines in wrong.items())
    yield quantity == invoice["billable"], f"{invoice['billable']:,} task runs are billed.", quantity
    told = {day: Counter(by_day.get(day)) for day in {*by_day, *days}}
    odd = sorted(day for day in told if told[day]["billable"] != days[day] or -told[day])
    yield not odd, "Each day has as many task runs as the invoice says.", odd
    said, summed = Counter({**invoice["not_billed"], "billable": quantity}), sum(told.values(), Counter())
    for name in {**said, **summed}:
        yield said[name] == summed[name], f"{said[name]:,} were {name}, day by day and all.", summed[name]


def to_minor(exact, code):  # rounded half up by magnitude; two currencies are in hundredths of whole coins
    coins = int(abs(exact) * 10 ** PLACES.get(code, 2) + Fraction(1, 2))
    return (coins if exact >= 0 else -coins) * (100 if code in ("ISK", "UGX") else 1)


def check_lines(invoice):  # what rests on other documents holds as None
    code, lines, brackets = invoice["currency"], invoice["lines"], invoice["brackets"]
    drawn, rated = (invoice["contract"]["drawn"] or 0, "on_demand") if invoice["contract"] else (0, "usage")
    is_usage = {"usage": 1, "contract": 0}.get(invoice["kind"])
    runs, before, one = invoice["billable"] - drawn, 0, to_minor(1, code)
    yield drawn in range(invoice["billable"] + 1), f"{drawn} were drawn from committed runs.", drawn
    tops = [inf if each["up_to"] is None else each["up_to"] for each in brackets]
    sound = is_usage is not None and [0, *tops] == sorted({0, *tops}) and tops[-1:] == [inf] * is_usage
    sound = sound and all(Fraction(each["unit_price"]) >= 0 for each in brackets)
    yield sound, "Brackets, of usage alone, ascend; only the last is open; no price is negative.", brackets
    steps = zip([0, *tops], tops, brackets)
    due = [(min(runs, top) - low, each["unit_price"]) for low, top, each in steps if low < runs]
    prices = ", ".join(f"{quantity:,} at {price}" for quantity, price in due)
    found = [(line["quantity"], line["unit_price"]) for line in lines if line["kind"] == rated]
    yield found == due, f"{runs:,} task runs by {invoice['plan']!r}, {code[:3]} each: {prices}.", found
    kinds = [line["kind"] for line in lines]
    yield kinds == sorted(kinds, key=ORDER.find), "The kinds of lines are in their order.", kinds
    for line in lines:
        name, kind, amount, exact = (line[each] for each in ("description", "kind", "amount", "exact_amount"))
        yield amount == to_minor(Fraction(exact), code), f"Rounded once, half up: {name!r}.", exact
        said = Fraction(re.findall(r"([\d,.]+)(?:% off| [A-Z]{3} a) ", f"0% off {name}")[-1].replace(",", ""))
        rules = {
            rated: Fraction(exact) == line["quantity"] * Fraction(line["unit_price"] or 0),
            "program_discount": amount == -to_minor(Fraction(before, one) * said / 100, code) < 0,
            "price_protection": amount == said * one - before < 0,
            "credit": 0 < -amount <= before,
            "carried": amount == -before > 0,
            **dict.fromkeys(["adjustment"] if is_usage else ["instalment", "service"]),
        }
        yield rules.get(kind, False), f"After {before:,}, {amount:,} for: {name!r}.", f"of kind {kind!r}"
        before += amount
    yield before == invoice["total"] >= 0, f"The lines sum to the total, {invoice['total']:,}.", before


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        invoice = json.loads(open(sys.argv[1], encoding="utf-8").read())
        results = [] if invoice["kind"] == "contract" else [*check_run_list(invoice, sys.argv[2])]
        results += check_lines(invoice)
        n, name = Counter(holds for holds, *_ in results), invoice["number"] or invoice["id"]
        for holds, sentence, found in results:
            word = {True: "holds", None: "NOT CHECKED"}.get(holds, f"DOES NOT HOLD ({found})")
            print(word, sentence, sep=": ")
        print(f"{name} ({invoice['status']}): {n[True]} hold, {n[False]} do not, {n[None]} not checked.")
    except Exception as error:
        print(f"{__doc__.splitlines()[0]}; these are not: {error!r}", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if n[False] else 3 if n[None] else 0)

"""What may be seen in a story. Lines are compared in full; what a story may leave out of an invoice's
description has a default here."""

from __future__ import annotations

from datetime import date

from billing.closing import what_is_left
from billing.credits import show_credit
from billing.invoices import invoice_data, preview
from billing.pricing.line import Line
from billing.pricing.money import format_amount, parse_amount
from billing.repository import contracts
from billing.repository.invoices import Invoice
from billing.run_balance import record_contract_runs
from metering.database import reading
from metering.period import Month
from tests.scenarios.office import Office
from tests.scenarios.story import days, money, months, rows, whole
from tests.scenarios.verbs import shows


@shows("invoice of {account} for {month}")
def invoice(
    office: Office,
    account: str,
    month: str,
    *,
    number: str,
    status: str,
    lines: str = "",
    total: str,
    billable: str | None = None,
    not_billed: str | None = None,
    drawn: str | None = None,
    plan: str | None = None,
    replaces: str | None = None,
    paid: str | None = None,
    notes: str | None = None,
) -> None:
    for each in months(month):
        found = office.live(account, each)
        assert found is not None, f"{account} has no invoice for {each}"
        _compare(found, number.replace("MONTH", str(each)), status, lines, total)
        if billable is not None:
            assert found.billable == whole(billable)
        if not_billed is not None:
            expected = dict(reversed(part.split(" ")) for part in not_billed.split(", "))
            assert {k: f"{n:,}" for k, n in found.not_billed.items() if n} == expected
        if drawn is not None:
            assert found.drawn == whole(drawn)
        if plan is not None:
            assert found.plan == plan
        if paid is not None:
            assert found.amount_paid == parse_amount(money(paid), found.currency)
        if notes is not None:
            assert invoice_data(office.engine, found, office.now)["notes"] == notes.splitlines()
        before = None if found.replaces is None else office.invoice(found.replaces)
        if replaces == "one that is void":
            assert before is not None
            assert (before.account, before.month, before.status) == (account, each, "void")
        else:
            voided = None if before is None else before.number
            assert voided == replaces, f"replaces {voided}"
        office.described.add(found.id)


@shows("contract invoice {number}")
def contract_invoice(
    office: Office, number: str, *, contract: str, status: str, lines: str, total: str
) -> None:
    found = office.invoice(number)
    assert (found.kind, found.contract) == ("contract", contract)
    _compare(found, number if "#" not in number else "any", status, lines, total)
    office.described.add(found.id)


def _compare(found: Invoice, number: str, status: str, lines: str, total: str) -> None:
    assert _shown(found.lines, found.currency) == [row[:3] for row in rows(lines, 4)]
    for line, row in zip(found.lines, rows(lines, 4), strict=True):
        assert row[3] in line.description, f"{row[3]!r} is not in {line.description!r}"
    assert format_amount(found.total, found.currency).split(" ")[0] == total
    assert number in ("any", found.number or "none"), found.number
    assert found.status == status


def _shown(lines: tuple[Line, ...], code: str) -> list[list[str]]:
    """Kind, runs (or `-` where a line is not about runs) and amount, as stories write them."""
    without = {"program_discount", "price_protection", "credit", "carried", "instalment", "service"}
    return [
        [
            line.kind.value,
            "-" if line.kind.value in without else f"{line.quantity:,}",
            format_amount(line.amount, code).split(" ")[0],
        ]
        for line in lines
    ]


@shows("no invoice of {account} for {month}")
def no_invoice(office: Office, value: str, account: str, month: str) -> None:
    for each in months(month):
        assert office.live(account, each) is None, f"{account} has an invoice for {each}"


@shows("preview of {account} for {month}")
def shown_before(office: Office, account: str, month: str, *, lines: str = "", total: str) -> None:
    data = preview(office.engine, office.store, account, Month.parse(month))
    code = str(data["currency"])
    held = data["lines"]
    assert isinstance(held, list)
    assert [format_amount(line["amount"], code).split(" ")[0] for line in held] == [
        row[2] for row in rows(lines, 4)
    ]
    amount = data["total"]
    assert isinstance(amount, int)
    assert format_amount(amount, code).split(" ")[0] == total


@shows("taken")
def taken(office: Office, value: str) -> None:
    """What became of the events that were sent last: `12 accepted, 1 duplicate`."""
    kinds = ("accepted", "duplicate", "ignored", "rejected")
    assert ", ".join(f"{office.result[kind]} {kind}" for kind in kinds if office.result[kind]) == value


@shows("failed")
def failed(office: Office, value: dict[str, str]) -> None:
    assert office.failed.keys() == value.keys(), office.failed
    for account, sentence in value.items():
        assert sentence in office.failed[account], office.failed[account]
    office.failed = {}


@shows("unassigned")
def unassigned(office: Office, value: dict[str, str]) -> None:
    assert {account: f"{count:,} runs" for account, count in office.unassigned.items()} == value
    office.unassigned = {}


@shows("credit of {account}")
def credit(office: Office, value: str, account: str) -> None:
    shown = show_credit(office.engine, account)
    balance = shown["balance"]
    assert isinstance(balance, int)
    assert format_amount(balance, str(shown["currency"])).split(" ")[0] == value


@shows("run balance of {contract}")
def run_balance(office: Office, value: str, contract: str) -> None:
    """As the daily job writes it down on that day."""
    record_contract_runs(office.engine, office.store, contract, office.now)
    with reading(office.engine) as connection:
        entries = contracts.ledger(connection, contract)
    assert f"{sum(entry.quantity for entry in entries):,}" == value


@shows("run ledger of {contract}")
def run_ledger(office: Office, value: str, contract: str) -> None:
    """All entries that the daily job has written until then: effective on, kind, grant, runs."""
    record_contract_runs(office.engine, office.store, contract, office.now)
    with reading(office.engine) as connection:
        entries = contracts.ledger(connection, contract)
    assert [
        [each.effective_on.isoformat(), each.kind.value, each.grant, f"{each.quantity:+,}"]
        for each in entries
    ] == rows(value, 4)


@shows("usage of {account} on {when}")
def usage(office: Office, value: str, account: str, when: str) -> None:
    """`12,000 runs, 7 failed`, now, whatever was invoiced"""
    found: dict[str, int] = {}
    windows = office.store.usage(account, Month(2000, 1).start, Month(2100, 1).start, by="day").windows
    held = {date.fromisoformat(day): counts for day, counts in _by_day(windows)}
    for each in days(when):
        for name, quantity in held.get(each, {}).items():
            found[name] = found.get(name, 0) + quantity
    assert ", ".join(f"{quantity:,} {name}" for name, quantity in found.items() if quantity) == value


def _by_day(windows: object) -> list[tuple[str, dict[str, int]]]:
    from metering.period import format_instant

    return [
        (format_instant(each.start)[:10], {"runs": each.counts.billable, **each.counts.not_billed})
        for each in windows  # type: ignore[attr-defined]
    ]


@shows("moved")
def moved(office: Office, value: str) -> None:
    """Account, from, to, what last month's runs cost now, and then; who pays more comes first."""
    found = [
        [
            each["account"],
            each["from_plan"],
            each["to_plan"],
            format_amount(each["now"], each["currency"]).split(" ")[0],
            format_amount(each["then"], each["currency"]).split(" ")[0],
            "protected" if each["protected_at"] is not None else "",
        ]
        for each in office.result["accounts"]
    ]
    assert found == rows(value, 6)


@shows("not moved")
def not_moved(office: Office, value: dict[str, str]) -> None:
    found = {each["account"]: each["message"] for each in office.result["skipped"] + office.result["failed"]}
    assert found.keys() == value.keys(), found
    for account, sentence in value.items():
        assert sentence in found[account], found[account]


@shows("left behind by {account}")
def left_behind(
    office: Office, account: str, *, credit: str, runs: str = "0", invoices_to_come: str = ""
) -> None:
    left = what_is_left(office.engine, office.store, account)
    grants, amount, to_come = left["grants"], left["credit"], left["invoices_to_come"]
    assert isinstance(grants, list)
    assert isinstance(amount, int)
    assert isinstance(to_come, list)
    assert format_amount(amount, str(left["currency"])).split(" ")[0] == credit
    assert f"{sum(each['runs_left'] for each in grants):,}" == runs
    assert ", ".join(to_come) == invoices_to_come

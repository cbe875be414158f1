"""Ways to change the invoice with every term of tests/test_verify_invoice.py, or its run list; each with part
of the sentence that the script must find not to hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

Change = Callable[[dict[str, Any], list[bytes]], object]


def _line(at: int, **values: Any) -> Change:
    return lambda invoice, _: invoice["lines"][at].update(values)


def _add(**values: Any) -> Change:
    """A line of five dollars more, on the total too."""

    def change(invoice: dict[str, Any], _: list[bytes]) -> None:
        line = {"quantity": 1, "unit_price": None, "exact_amount": "5.00", "amount": 500}
        invoice["lines"].append(line | values)
        invoice["total"] += 500

    return change


_LARGE = {"amount": -200, "exact_amount": "-2.00"}


def _digest_too(change: Change) -> Change:
    """Whoever changes the run list changes the digest on the invoice as well."""

    def both(invoice: dict[str, Any], lines: list[bytes]) -> None:
        change(invoice, lines)
        invoice["run_list_sha256"] = hashlib.sha256(b"".join(lines)).hexdigest()

    return both


def _replace(at: int, old: bytes, new: bytes) -> Change:
    def change(_: dict[str, Any], lines: list[bytes]) -> None:
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new)

    return change


TAMPERED: dict[str, tuple[Change, str]] = {
    "a byte of a run": (_replace(5, b"november", b"novembar"), "SHA-256"),
    "the digest": (lambda invoice, _: invoice.update(run_list_sha256="0" * 64), "SHA-256"),
    "a run less": (_digest_too(lambda _, lines: lines.pop()), "10,601 task runs are billed"),
    "a run more": (
        _digest_too(lambda _, lines: lines.append(b"zzz,2026-11-05T12:00:05Z,5000000\n")),
        "10,601 task runs are billed",
    ),
    "a run twice": (
        _digest_too(lambda _, lines: lines.__setitem__(5, lines[4])),
        "none is there twice",
    ),
    "two runs exchanged": (
        _digest_too(lambda _, lines: lines.insert(4, lines.pop(5))),
        "are in order",
    ),
    "a run of another month": (
        _digest_too(_replace(5, b"2026-11-05", b"2026-10-31")),
        "ended in the month",
    ),
    "a run of the next month": (
        _digest_too(_replace(5, b"2026-11-05T12:00:05Z", b"2026-12-01T00:00:00Z")),
        "ended in the month",
    ),
    "a run of another day": (_digest_too(_replace(5, b"2026-11-05", b"2026-11-08")), "Each day"),
    "a run of a second": (_digest_too(_replace(5, b",5000000", b",1000000")), "longer than a second"),
    "a line that is none": (_digest_too(_replace(5, b",5000000", b"")), "a time and a duration"),
    "no header": (_digest_too(lambda _, lines: lines.__setitem__(0, b"id,at,us\n")), "its header"),
    "the quantity": (lambda invoice, _: invoice.update(billable=10_602), "10,602 task runs are billed"),
    "what failed": (lambda invoice, _: invoice["not_billed"].update(failed=6), "6 were failed"),
    "a day": (
        lambda invoice, _: invoice["usage_by_day"]["2026-11-05"].update(billable=10_599),
        "Each day",
    ),
    "a price": (_line(1, unit_price="0.0026"), "10,601 task runs by"),
    "a quantity": (_line(1, quantity=602), "10,601 task runs by"),
    "an exact amount": (_line(1, exact_amount="1.5050"), "Task runs 10,001 to 10,601"),
    "a cent": (_line(1, amount=151), "Rounded once"),
    "a line less": (lambda invoice, _: invoice["lines"].pop(0), "10,601 task runs by"),
    "a line twice": (
        lambda invoice, _: invoice["lines"].insert(1, invoice["lines"][1]),
        "10,601 task runs by",
    ),
    "a kind": (_line(1, kind="adjustment"), "10,601 task runs by"),
    "a bracket": (
        lambda invoice, _: invoice["brackets"][0].update(up_to=9_000),
        "10,601 task runs by",
    ),
    "the price of a bracket": (
        lambda invoice, _: invoice["brackets"][1].update(unit_price="0.0024"),
        "10,601 task runs by",
    ),
    "committed runs": (
        lambda invoice, _: invoice.update(contract={"id": "c", "drawn": 5, "on_demand": 10_596}),
        "10,596 task runs by",
    ),
    "the discount": (_line(2, amount=-18, exact_amount="-0.18"), "Program academia"),
    "the percentage": (_line(2, description="Program academia: 10% off 1.50 USD"), "Program academia"),
    "no percentage": (_line(2, description="Program academia"), "Program academia"),
    "the protection": (_line(3, amount=-30, exact_amount="-0.30"), "Price protection"),
    "the protected price": (
        _line(3, description="Price protection: at most 2.00 USD a month"),
        "Price protection",
    ),
    "credit": (_line(5, amount=-200, exact_amount="-2.00"), "Account credit"),
    "credit twice": (
        lambda invoice, _: invoice["lines"].append(invoice["lines"][5] | _LARGE),
        "Account credit",
    ),
    "an invented line": (_add(kind="other", description="Other"), "DOES NOT HOLD (of kind 'other')"),
    "an instalment": (_add(kind="instalment", description="Instalment 1"), "of kind 'instalment'"),
    "a line of no kind": (_line(1, kind="contract"), "DOES NOT HOLD (of kind 'contract')"),
    "another kind of runs": (_line(1, kind="on_demand"), "of kind 'on_demand'"),
    "a discount twice": (
        lambda invoice, _: invoice["lines"].insert(3, invoice["lines"][2]),
        "Program academia",
    ),
    "an invoice for a contract": (
        lambda invoice, _: invoice.update(kind="contract", lines=invoice["lines"][:2], total=150),
        "Brackets, of usage alone",
    ),
    "a day that makes up for another": (
        lambda invoice, _: (
            invoice["usage_by_day"].update({"2026-11-04": {"failed": -5}}),
            invoice["not_billed"].update(failed=2),
        ),
        "Each day has as many task runs",
    ),
    "an invoice of no kind and no lines": (
        lambda invoice, _: invoice.update(kind="other", brackets=[], lines=[], total=0),
        "Brackets, of usage alone",
    ),
    "an invoice of no kind": (lambda invoice, _: invoice.update(kind="other"), "Brackets, of usage alone"),
    "fewer runs drawn than none": (
        lambda invoice, _: invoice.update(contract={"id": "c", "drawn": -1000, "on_demand": 11_601}),
        "-1000 were drawn",
    ),
    "more runs drawn than there are": (
        lambda invoice, _: invoice.update(contract={"id": "c", "drawn": 10_602, "on_demand": -1}),
        "10602 were drawn",
    ),
    "half a run drawn": (
        lambda invoice, _: invoice.update(contract={"id": "c", "drawn": 0.5, "on_demand": 10_600}),
        "0.5 were drawn",
    ),
    "brackets that descend": (
        lambda invoice, _: invoice["brackets"].insert(1, {"up_to": 9_000, "unit_price": "9"}),
        "ascend",
    ),
    "a bracket of nothing": (
        lambda invoice, _: invoice["brackets"].insert(0, {"up_to": 0, "unit_price": "0"}),
        "ascend",
    ),
    "two open brackets": (
        lambda invoice, _: invoice["brackets"].append({"up_to": None, "unit_price": "9"}),
        "only the last is open",
    ),
    "no open bracket": (
        lambda invoice, _: invoice["brackets"][-1].update(up_to=20_000_000),
        "only the last is open",
    ),
    "a negative price": (
        lambda invoice, _: invoice["brackets"].insert(-1, {"up_to": 10_001, "unit_price": "-1"}),
        "no price is negative",
    ),
    "an earlier start": (
        lambda invoice, _: invoice["period"].update(start="2025-11-01T00:00:00Z"),
        "The period",
    ),
    "a later end": (lambda invoice, _: invoice["period"].update(end="2027-12-01T00:00:00Z"), "The period"),
    "credit before the discount": (
        lambda invoice, _: invoice["lines"].insert(2, invoice["lines"].pop(5)),
        "in their order",
    ),
    "what was not billed": (lambda invoice, _: invoice.update(not_billed={}), "0 were failed"),
    "the total": (lambda invoice, _: invoice.update(total=119), "sum to the total"),
}

"""Whatever is asked in whatever order, the sandbox answers, and its amounts stay consistent."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from billing.payments.stripe_sandbox import Request, StripeSandbox, params
from billing.payments.stripe_sandbox.cards import CARDS
from billing.payments.stripe_sandbox.routes import ROUTES, Route
from tests.examples import share

AUTH = {"authorization": "Bearer sk_test_x"}
NOW = 1_791_000_000
Pairs = list[tuple[str, str]]
JUNK = st.sampled_from(["", "x", "-1", "0", "true", "usd", "é", "9" * 30])
# Few values, so that requests meet each other's objects; `@n` stands for the n-th id that was answered.
IDS = st.sampled_from([*(f"@{n}" for n in range(12)), *(f"pm_card_{name}" for name in CARDS)])


def pairs(field: params.Field, name: str, draw: st.DrawFn) -> Pairs:  # noqa: PLR0911 - one a kind
    """Form pairs for a parameter, mostly well-formed."""
    match field:
        case params.Hash():
            optional = [key for key in field.fields if key not in field.required]
            chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=4)) if optional else []
            keys = [*field.required, *chosen]
            return [pair for key in keys for pair in pairs(field.fields[key], f"{name}[{key}]", draw)]
        case params.Array():
            count = draw(st.integers(0, 3))
            return [pair for n in range(count) for pair in pairs(field.item, f"{name}[{n}]", draw)]
        case params.Metadata():
            return [(f"{name}[k]", draw(JUNK))]
        case params.Range():
            return [(f"{name}[gte]", str(NOW))]
        case params.Integer():
            number = st.sampled_from(["0", "1", "10", "49", "50", "1000", str(NOW + 86_400), "-700"])
            return [(name, draw(number))]
        case params.Boolean():
            return [(name, draw(st.sampled_from(["true", "false"])))]
        case params.Choice():
            return [(name, draw(st.sampled_from(field.values)))]
        case params.Currency():
            return [(name, draw(st.sampled_from(["usd", "eur", "jpy"])))]
        case params.Decimals():
            return [(name, draw(st.sampled_from(["0.25", "100", "-3.5"])))]
    if name.endswith("[expand]") or "[expand][" in name:
        return [
            (
                name,
                draw(st.sampled_from(["customer", "data.invoice", "payments.data.payment.payment_intent"])),
            )
        ]
    return [(name, draw(st.one_of(IDS, IDS, IDS, JUNK)))]


@st.composite
def asked(draw: st.DrawFn) -> tuple[Route, list[str], Pairs]:
    writes = [route for route in ROUTES if route.method == "POST"]
    route = draw(st.one_of(st.sampled_from(writes), st.sampled_from(ROUTES)))
    path_ids = [
        draw(st.sampled_from(["@0", "@1", "@2", "@3", "in_none"])) for _ in range(route.template.count("{"))
    ]
    fields = route.accepts.fields
    # What Stripe's description calls optional and most calls need.
    likely = [key for key in ("customer", "amount") if key in fields and draw(st.integers(0, 3))]
    keys = [*route.accepts.required, *(key for key in likely if key not in route.accepts.required)]
    rest = [key for key in fields if key not in keys]
    keys += draw(st.lists(st.sampled_from(rest), unique=True, max_size=3)) if rest else []
    form = [pair for key in keys for pair in pairs(fields[key], f"[{key}]", draw)]
    return route, path_ids, form


# What a name in a path or a form refers to, by the prefix of its ids.
PREFIXES = {
    "customer": "cus",
    "invoice": "in",
    "payment_method": "pm",
    "default_payment_method": "pm",
    "invoiceitem": "ii",
    "invoice_item": "ii",
    "line_item_id": "il",
    "invoice_line_item": "il",
    "credit_note": "cn",
    "intent": "pi",
    "payment_intent": "pi",
    "charge": "ch",
}


def ask(sandbox: StripeSandbox, route: Route, path_ids: list[str], form: Pairs) -> None:
    known = [id for table in (*sandbox.state.tables(), sandbox.state.events) for id in table.rows]
    known += [line["id"] for lines in sandbox.state.lines.values() for line in lines]

    def named(text: str, name: str) -> str:
        if not text.startswith("@"):
            return text
        of_route = "cn" if "credit_notes" in route.template else "evt"
        prefix = PREFIXES.get(name, "il" if "lines" in route.template else of_route)
        fitting = [id for id in known if id.startswith(f"{prefix}_")] or known
        return fitting[int(text[1:]) % len(fitting)]

    path = route.template
    for id in path_ids:
        start, end = path.index("{"), path.index("}")
        path = path[:start] + (named(id, path[start + 1 : end]) or "x") + path[end + 1 :]
    # `[a][b]` → `a[b]`
    text = urlencode([(k[1:].replace("]", "", 1), named(v, k.rpartition("[")[2][:-1])) for k, v in form])
    read = {"query": text} if route.method != "POST" else {"body": text.encode()}
    answer = sandbox.handle(Request(route.method, path, headers=AUTH, **read))  # type: ignore[arg-type]
    assert answer.status in {200, 400, 402, 404}, answer.body
    assert json.loads(answer.body)


def check(sandbox: StripeSandbox) -> None:
    state = sandbox.state
    for invoice in state.invoices.rows.values():
        lines = state.lines[invoice["id"]]
        assert invoice["total"] == sum(line["amount"] for line in lines)
        if invoice["status"] != "void":
            assert invoice["amount_remaining"] == invoice["amount_due"] - invoice["amount_paid"] >= 0
        if invoice["status"] == "paid":
            assert invoice["amount_remaining"] == 0
    numbers = [row["number"] for row in state.invoices.rows.values() if row["number"] is not None]
    assert len(numbers) == len(set(numbers))
    for customer in state.customers.rows.values():
        ids = state.balance_transactions.by_customer.get(customer["id"], [])
        if not customer.get("deleted"):
            assert customer["balance"] == sum(state.balance_transactions.rows[id]["amount"] for id in ids)


@share(30)
@given(st.lists(asked(), min_size=5, max_size=25))
def test_it_always_answers(requests: list[tuple[Route, list[str], Pairs]]) -> None:
    sandbox = StripeSandbox(clock=lambda: NOW, seed="fuzz")
    begin: list[tuple[str, Any]] = [
        ("/v1/customers", {"payment_method": "pm_card_visa", "email": "a@b.example"}),
        ("/v1/customers", {"payment_method": "pm_card_chargeCustomerFail"}),
    ]
    for path, form in begin:
        assert (
            sandbox.handle(Request("POST", path, body=urlencode(form).encode(), headers=AUTH)).status == 200
        )
    for customer in list(sandbox.state.customers.rows):
        create = Request("POST", "/v1/invoices", body=f"customer={customer}".encode(), headers=AUTH)
        invoice = json.loads(sandbox.handle(create).body)["id"]
        add = b"lines[0][amount]=1000&lines[1][amount]=-200"
        sandbox.handle(Request("POST", f"/v1/invoices/{invoice}/add_lines", body=add, headers=AUTH))
    # One is a draft, the other open.
    sandbox.handle(Request("POST", f"/v1/invoices/{invoice}/finalize", headers=AUTH))
    for route, path_ids, form in requests:
        ask(sandbox, route, path_ids, form)
        check(sandbox)
    sandbox.advance(3600)
    check(sandbox)

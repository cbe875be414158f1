"""What is agreed with an account: plans, protection, programs, credit, referrals, closing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from metering.clock import now_instant
from metering.period import Month, day_of
from tests.billing.cli.conftest import Cli, event, lines

DETAILS = {
    "line1": "Street 1",
    "line2": "Floor 2",
    "city": "Berlin",
    "postal_code": "10115",
    "state": "BE",
    "country": "DE",
    "tax_id_type": "eu_vat",
    "tax_id": "DE123456789",
    "purchase_order": "PO-7",
    "collection": "send",
    "days_until_due": 14,
}
OPTIONS = [word for name, value in DETAILS.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def books(cli: Cli, *accounts: str) -> Any:
    """All that is written down of accounts."""
    held = [
        [cli.json("accounts", verb, each) for verb in ("show", "history", "credits")] for each in accounts
    ]
    return held, cli.json("accounts", "list"), cli.json("contracts", "list")


@pytest.fixture
def invoiced(cli: Cli) -> Cli:
    """`acme` and `other`; acme is invoiced for March 2024."""
    for each in ("acme", "other"):
        cli.done("accounts", "add", each, "--billing-from", "2024-03")
    cli.done("ingest", "-", stdin=lines(event(1), event(2)))
    cli.done("run", "2024-03")
    return cli


def test_an_account_that_moves_in(cli_on_both: Cli) -> None:
    cli = cli_on_both
    added = cli.json(
        "accounts", "add", "acme", "--billing-from", "2024-03", "--legacy-charge", "100.00",
        "--protected-until", "2024-09-01", "--opening-credit", "12.50", "--opening-runs", "5000",
        "--opening-runs-until", "2024-07-01", *OPTIONS,
    )  # fmt: skip
    assert added["price_protection"] == [{"from": "2024-03", "charge": 10000, "ends_on": "2024-09-01"}]
    assert added["contracts"] == [{"id": "acme-opening", "start": "2024-03-01", "end": "2024-07-01"}]
    assert added["details"] == DETAILS
    credit = cli.json("accounts", "credits", "acme")
    assert (credit["account"], credit["currency"], credit["balance"]) == ("acme", "USD", 1250)
    assert [(each["kind"], each["amount"], each["author"]) for each in credit["ledger"]] == [
        ("opening", 1250, "operator")
    ]
    shown = cli.done("accounts", "show", "acme").out
    for text in (
        "at most 100.00 USD a month from 2024-03, until 2024-09-01",
        "acme-opening, 2024-03-01 to 2024-07-01",
        "DE123456789",
    ):
        assert text in shown


def test_details_are_updated(cli: Cli) -> None:
    cli.done("accounts", "add", "acme", "--name", "Acme", *OPTIONS)
    changed = cli.json("accounts", "update", "acme", "--name", "Acme AG", "--city", "Bonn", "--line2", "")
    assert (changed["name"], changed["email"]) == ("Acme AG", "")
    assert changed["details"] == {name: DETAILS[name] for name in DETAILS if name != "line2"} | {
        "city": "Bonn"
    }
    before = cli.json("accounts", "show", "acme")
    for words, says in [
        ([], "say what changes"),
        (["--country", "Germany"], "country 'Germany' is not a code such as DE"),
        (["--tax-id", ""], "a tax id needs its type"),
        (["--collection", "cash"], "'cash' is not one of automatic, charge, send"),
        (["--days-until-due", "0"], "days_until_due must be a whole number from 1 to 365"),
        (["--email", "nobody"], "email 'nobody' is not an address"),
    ]:
        refused = cli("accounts", "update", "acme", *words)
        assert says in refused.error
        assert refused.code == 2
    assert cli.json("accounts", "show", "acme") == before


def test_a_plan_is_amended(invoiced: Cli) -> None:
    changed = invoiced.json(
        "accounts", "set-plan", "acme", "standard", "--from", "2024-03", "--amend", "--reason", "agreed late"
    )
    assert changed["plans"] == [{"from": "2024-03", "plan": "standard@2021-02"}]
    last = invoiced.json("accounts", "history", "acme")[-1]
    recorded_at = last.pop("recorded_at")
    assert recorded_at.endswith("Z")
    assert last.pop("entry") > 1
    assert last == {
        "kind": "plan",
        "data": {"from": "2024-03", "plan": "standard", "version": "2021-02"},
        "amendment": True,
        "author": "operator",
        "reason": "agreed late",
    }
    assert (
        "plan standard@2021-02 from 2024-03 (amendment): agreed late"
        in invoiced.done("accounts", "history", "acme").out
    )


def test_protection_is_listed_before_it_ends(cli: Cli) -> None:
    today = day_of(now_instant())
    for account, days in (("soon", 45), ("later", 90), ("last", 400)):
        cli.done("accounts", "add", account)
        until = str(today + timedelta(days=days))
        protected = cli.json("accounts", "protect", account, "100.00", "--until", until)
        assert protected["price_protection"][0]["charge"] == 10000
    assert cli.json("accounts", "protections") == [
        {
            "account": "soon",
            "charge": 10000,
            "currency": "USD",
            "ends_on": str(today + timedelta(days=45)),
            "days_left": 45,
        }
    ]
    assert [each["account"] for each in cli.json("accounts", "protections", "--within", "90")] == [
        "soon", "later",
    ]  # fmt: skip
    assert len(cli.json("accounts", "protections", "--all")) == 3
    assert "100.00 USD" in cli.done("accounts", "protections").out
    assert "None ends within 5 days." in cli.done("accounts", "protections", "--within", "5").out


def test_a_program_is_joined_and_left(cli: Cli) -> None:
    cli.done("accounts", "add", "acme", "--billing-from", "2024-03")
    joined = cli.json(
        "accounts", "apply-program", "acme", "nonprofits", "--percent", "12.5", "--from", "2024-03-01",
        "--until", "2025-03-01",
    )  # fmt: skip
    program = {"program": "nonprofits", "percentage": "12.5", "starts_on": "2024-03-01"}
    assert joined["programs"] == [program | {"ends_on": "2025-03-01"}]
    left = cli.json("accounts", "leave-program", "acme", "nonprofits", "--on", "2024-12-01")
    assert left["programs"] == [program | {"ends_on": "2024-12-01"}]
    assert "nonprofits 12.5% off, 2024-03-01 to 2024-12-01" in cli.done("accounts", "show", "acme").out


def test_an_application_that_fails_is_kept_with_the_reason(cli: Cli) -> None:
    cli.done("accounts", "add", "acme")
    words = ["accounts", "apply-program", "acme", "startups", "--percent", "50", "--until", "2999-01-01"]
    assert "say when it was founded" in cli(*words).error
    assert len(cli.json("accounts", "history", "acme")) == 1
    old = cli(*words, "--founded-on", "2001-01-01", "--raised", "5")
    assert "less than 3 years old" in old.error
    assert old.code == 2
    last = cli.json("accounts", "history", "acme")[-1]
    assert (last["kind"], last["data"]["founded_on"]) == ("program_refused", "2001-01-01")
    assert "less than 3 years old" in last["reason"]
    assert cli.json("accounts", "show", "acme")["programs"] == []


def test_credit_and_its_ledger(cli: Cli) -> None:
    cli.done("accounts", "add", "acme")
    assert "No credit yet" in cli.done("accounts", "credits", "acme").out
    data = cli.json("accounts", "credit", "acme", "25.00", "--reason", "the outage")
    assert data.keys() == {"account", "currency", "balance", "credits", "ledger"}
    assert data == cli.json("accounts", "credits", "acme")
    assert (data["balance"], data["credits"][0]["left"]) == (2500, 2500)
    assert data["ledger"][0]["description"] == "the outage"
    shown = cli.done("accounts", "credits", "acme").out
    assert "credit 25.00 USD" in shown
    assert "goodwill" in shown


def test_referrals(cli: Cli) -> None:
    for each in ("acme", "b", "c"):
        cli.done("accounts", "add", each)
    pair = {"referrer": "acme", "referred": "b", "rewarded": False}
    assert cli.json("accounts", "refer", "acme", "b") == pair
    assert "c was referred by b: 50.00 of credit" in cli.done("accounts", "refer", "b", "c").out
    for words, says in [
        (["acme", "acme"], "cannot refer itself"),
        (["c", "b"], "was referred by acme already"),
        (["c", "acme"], "do not go in a circle"),
        (["acme", "ghost"], "there is no account 'ghost'"),
    ]:
        refused = cli("accounts", "refer", *words)
        assert says in refused.error
        assert refused.code == 2


def test_closing_says_what_is_left(invoiced: Cli) -> None:
    cli = invoiced
    cli.done("ingest", "-", stdin=lines(event(3, ended_at="2024-04-02T10:00:00Z")))
    cli.done("accounts", "credit", "acme", "5", "--reason", "sorry")
    left = cli.json("accounts", "close", "acme", "--on", "2024-04-30", "--reason", "left us")
    assert left == {
        "account": "acme",
        "closed_on": "2024-04-30",
        "invoices_to_come": ["2024-04"],
        "adjustments_to_come": 0,
        "grants": [],
        "credit": 500,
        "currency": "USD",
    }
    assert cli.json("accounts", "show", "acme")["closed_on"] == "2024-04-30"
    assert "reopen it first" in cli("accounts", "close", "acme").error
    assert cli.json("accounts", "reopen", "acme")["closed_on"] is None
    assert "is not closed" in cli("accounts", "reopen", "acme").error
    text = cli.done("accounts", "close", "acme", "--on", "2024-04-30").out
    assert "billing run 2024-04" in text
    assert "5.00 USD" in text
    assert "closed on 2024-04-30: left us" in cli.done("accounts", "history", "acme").out


REFUSED: list[tuple[list[str], str]] = [
    (["set-plan", "acme", "gold", "--from", "2024-05"], "there is no plan 'gold'"),
    (["set-plan", "acme", "standard", "--from", "2024-03"], "make it an amendment"),
    (["set-plan", "ghost", "standard", "--from", "2024-05"], "there is no account 'ghost'"),
    (["protect", "acme", "-1", "--until", "2024-09-01"], "No such option"),
    (["protect", "--until", "2024-09-01", "--", "acme", "-1"], "the old monthly charge is negative"),
    (["protect", "acme", "NaN", "--until", "2999-09-01"], "'NaN' is not an amount"),
    (["protect", "acme", "1", "--until", "2024-02-30"], "'2024-02-30' is not a date; write it as YYYY"),
    (["protect", "acme", "1", "--until", "2024-05-01", "--from", "2024-05"], "before it begins"),
    (["protect", "acme", "1", "--until", "2024-09-01", "--from", "2024-03"], "make it an amendment"),
    (["protections", "--within", "-1"], "--within"),
    (["apply-program", "acme", "gold", "--percent", "5", "--until", "2999-01-01"], "no program 'gold'"),
    (
        ["apply-program", "acme", "academia", "--percent", "101", "--until", "2999-01-01"],
        "101% is not a discount; it is above 0 and at most 100",
    ),
    (["apply-program", "acme", "academia", "--percent", "NaN", "--until", "2999-01-01"], "not a number"),
    (
        ["apply-program", "acme", "academia", "--percent", "5", "--until", "2024-01-01"],
        "not after its start",
    ),
    (["leave-program", "acme", "academia", "--on", "2024-05-01"], "is not in program academia"),
    (["credit", "acme", "0", "--reason", "x"], "amount must be above 0"),
    (["credit", "--reason", "x", "--", "acme", "-5"], "amount must be above 0, not -5"),
    (["credit", "acme", "NaN", "--reason", "x"], "'NaN' is not an amount"),
    (["credit", "acme", "5", "--reason", " "], "say what the credit is for"),
    (["credit", "acme", "5"], "Missing option '--reason'"),
    (["close", "acme", "--on", "2024-02-29"], "is invoiced for 2024-03"),
    (["add", "new", "--opening-runs", "5"], "both their number and the day"),
    (["add", "new", "--opening-credit", "-5"], "opening_credit must be above 0"),
    (["add", "new", "--legacy-charge", "5"], "both a legacy charge and the date"),
    (["add", "new", "--country", "XYZ"], "country 'XYZ' is not a code"),
]


def test_a_refusal_is_one_sentence_and_changes_nothing(invoiced: Cli) -> None:
    before = books(invoiced, "acme", "other")
    for words, says in REFUSED:
        refused = invoiced("accounts", *words)
        assert says in refused.error, words
        assert refused.code == 2
    assert books(invoiced, "acme", "other") == before


def test_a_plan_is_migrated(cli: Cli) -> None:
    last = Month.of(now_instant()).previous()
    cli.done("accounts", "add", "acme", "--billing-from", str(last), "--plan", "standard")
    cli.done("accounts", "add", "idle", "--plan", "standard")
    paid = [
        event(number, ended_at=f"{last}-05T10:00:00Z", started_at=f"{last}-05T09:00:00Z")
        for number in range(10_400)
    ]
    cli.done("ingest", "-", stdin=lines(*paid))
    start = str(Month.of(now_instant()).next())
    words = ["plans", "migrate", "starter", "--from", start, "--account", "acme", "--account", "idle"]
    before = books(cli, "acme", "idle")
    report = cli.json(*words, "--dry-run")
    assert report["accounts"] == [
        {
            "account": account, "from_plan": "standard@2021-02", "to_plan": "starter@2021-02",
            "currency": "USD", "now": now, "then": then, "change": then - now, "protected_at": None,
        }
        for account, now, then in [("idle", 0, 0), ("acme", 200, 100)]
    ]  # fmt: skip
    assert books(cli, "acme", "idle") == before
    assert cli.json(*words)["dry_run"] is False
    assert cli.json("accounts", "show", "acme")["plans"][-1] == {"from": start, "plan": "starter@2021-02"}
    back = ["plans", "migrate", "standard", "--from", start, "--account", "acme"]
    until = str(Month.parse(start).next().next()) + "-01"
    text = cli.done(*back, "--protect-until", until).out
    assert "protected at 1.00 USD" in text
    assert cli.json("accounts", "show", "acme")["price_protection"][0]["charge"] == 100
    assert "on standard@2021-02 already" in cli.done(*back).out


def test_a_migration_that_fails_for_somebody_is_to_be_looked_at(invoiced: Cli) -> None:
    words = ["plans", "migrate", "standard", "--from", "2024-03", "--account", "acme", "--account", "other"]
    outcome = invoiced(*words)
    assert outcome.code == 1
    assert "acme: account acme is invoiced for 2024-03 already" in outcome.out
    assert invoiced.json("accounts", "show", "other")["plans"][0]["plan"] == "standard@2021-02"
    for wrong, says in [
        (["gold", "--from", "2024-05"], "there is no plan 'gold'"),
        (["standard", "--from", "2024-05", "--account", "ghost"], "there is no account 'ghost'"),
        (["standard", "--from", "2024-05", "--protect-until", "2024-05-01"], "end before it begins"),
    ]:
        refused = invoiced("plans", "migrate", *wrong)
        assert says in refused.error
        assert refused.code == 2


def test_an_account_is_erased_by_who_says_yes(invoiced: Cli) -> None:
    cli = invoiced
    cli.done("accounts", "update", "acme", "--email", "ada@acme.example")
    open_ = cli("accounts", "erase", "acme", "--yes")
    assert open_.code == 2 and "close it first" in open_.err
    cli.done("accounts", "close", "acme", "--on", "2024-03-31")
    looked = cli("accounts", "erase", "acme")
    assert looked.code == 1 and "add --yes" in looked.err
    assert cli.json("accounts", "show", "acme")["email"] == "ada@acme.example"
    erased = cli.json("accounts", "erase", "acme", "--yes", "--retain-years", "0", "--reason", "asked for")
    assert (erased["dry_run"], erased["invoices_kept"], erased["left"]) == (False, [], {})
    assert cli.json("accounts", "show", "acme")["email"] == ""
    (entry, *_) = cli.json("audit", "list", "--deed", "account.erased", "--account", "acme")
    assert entry["reason"] == "asked for"
    cli.done("prove")

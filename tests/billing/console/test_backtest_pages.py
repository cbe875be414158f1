"""The pages of backtests, and of other thresholds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.billing.api.client import Client, running
from tests.billing.backtest.worlds import DRAFT, random_world
from tests.billing.console.conftest import Operator, text_of
from tests.conftest import NewDatabase
from tests.world import World

ASKED = (("text", DRAFT), ("from", "2026-07"), ("to", "2026-10"))


@pytest.fixture
def lite(sqlite_databases: NewDatabase) -> Iterator[Client]:
    with running(World(sqlite_databases())) as client:
        yield client


def test_a_backtest_with_its_pictures(lite: Client) -> None:
    random_world(lite.world, 2)
    admin = Operator(lite)
    done = admin.do("catalogue/backtest", *ASKED, ("solve", "free-runs price:2"))
    assert "Done" in text_of(done) and "To the backtest" in done
    page = admin.get("catalogue/backtest")
    said = text_of(page)
    assert "flow@draft instead of flow, 2026-07 to 2026-10" in said
    assert page.count("<figure") in (2, 4)  # of the currencies that anything is paid in
    json = {"Content-Type": "application/json"}
    asked = "/v1/backtests?months=2026-07:2026-10"
    over_http = lite.ask("POST", asked, headers=json, content=DRAFT).json()
    (dollars,) = [each for each in over_http["totals"] if each["currency"] == "USD"]
    assert f"+{dollars['change'] / 100:,.2f} USD" in said
    assert f"Pay more {dollars['pay_more']} of {dollars['accounts']} accounts" in said
    assert "free runs would bring" in said or "to keep" in said
    viewer = Operator(lite, "viewer", "vera")
    assert "<textarea" not in viewer.get("catalogue/backtest")
    assert viewer.post("catalogue/backtest", *ASKED).status_code == 403


def test_another_threshold_with_its_picture(lite: Client) -> None:
    random_world(lite.world, 2)
    admin = Operator(lite)
    admin.do("catalogue/what-if", ("thresholds", "0.5 2"), ("from", "2026-07"), ("to", "2026-10"))
    page = admin.get("catalogue/what-if")
    assert page.count("<figure") == 1 and "2026-07 to 2026-10" in text_of(page)
    found = lite.get("/v1/what-if?months=2026-07:2026-10").json()
    for each in found["thresholds"]:
        assert f"{each['threshold']} s {each['billable']:,} " in text_of(page)


def test_what_is_wrong_is_said_on_the_form(lite: Client) -> None:
    admin = Operator(lite)
    for changed, says in (
        (("text", ""), "Paste a plan"),
        (("from", "2026-13"), "is not a month"),
        (("to", "2026-01"), "ends before it begins"),
        (("threshold", "x"), "is not a threshold"),
    ):
        given = dict(ASKED) | dict([changed])
        answer = admin.post("catalogue/backtest", *given.items())
        assert answer.status_code == 422 and says in text_of(answer.text)
    for given, says in (
        ({"thresholds": ""}, "Name a threshold"),
        ({"thresholds": "x"}, "is not a threshold"),
    ):
        answer = admin.post("catalogue/what-if", ("from", "2026-07"), ("to", "2026-10"), *given.items())
        assert answer.status_code == 422 and says in text_of(answer.text)
    assert "Backtest" in admin.get("catalogue") and "Done" not in admin.get("catalogue/what-if")

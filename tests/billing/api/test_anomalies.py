"""GET /v1/anomalies"""

from __future__ import annotations

import pytest

from billing.anomalies import find_anomalies
from billing.api.anomalies import AnomaliesAnswer
from metering.period import Month
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.billing.misuse import HONEST, OCTOBER, send_months

ACCOUNTS = (*HONEST, "cacher", "latecomer", "twin-1", "twin-2")


@pytest.fixture
def month(lite: Client) -> Client:
    for account in ACCOUNTS[:-1]:
        lite.world.account(account)
    send_months(lite.world.store, ACCOUNTS)
    return lite


def test_the_signs_of_a_month(month: Client) -> None:
    answer = month.get("/v1/anomalies?month=2026-10").json()
    assert_shape(AnomaliesAnswer, answer)
    assert (answer["month"], answer["ok"], answer["accounts"]) == ("2026-10", False, len(ACCOUNTS))
    assert {each["account"] for each in answer["signs"]} == set(ACCOUNTS) - set(HONEST)
    assert answer == find_anomalies(month.world.service, OCTOBER).to_data()
    first = next(each for each in answer["signs"] if each["account"] == "cacher")
    assert first["own_past"] == {"median": 0.06, "limit": 0.228181, "spread": 0.35, "compared": 3}
    assert first["look"] == "billing usage cacher --month 2026-10 --by month --group-by flow"


def test_one_account_and_another_month(month: Client) -> None:
    signs = month.get("/v1/anomalies?month=2026-10&account=twin-1").json()["signs"]
    assert [each["kind"] for each in signs] == ["shared_run_id"]
    assert month.get("/v1/anomalies?month=2026-09").json()["ok"]
    month.world.instant = Month.parse("2026-10").start
    assert month.get("/v1/anomalies").json()["month"] == "2026-10"


def test_what_is_asked_wrongly_is_said(lite: Client) -> None:
    assert_problem(lite.get("/v1/anomalies?month=10-2026"), 422, field="month")
    assert_problem(lite.get("/v1/anomalies?account=a%20b"), 422, field="account")
    assert_problem(lite.get("/v1/anomalies?account=nobody"), 404, says="there is no account 'nobody'")

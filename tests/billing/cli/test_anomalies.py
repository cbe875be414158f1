"""billing anomalies: what it prints, and its exit codes."""

from __future__ import annotations

import shlex

import pytest

from billing.anomalies import find_anomalies
from metering.database import make_engine
from tests.billing.cli.conftest import Cli
from tests.billing.misuse import HONEST, OCTOBER, send_months
from tests.world import World

ACCOUNTS = (*HONEST, "cacher", "latecomer", "splitter", "undoer", "twin-1", "twin-2")


@pytest.fixture
def month(cli: Cli) -> Cli:
    url = cli.env["BILLING_DATABASE_URL"]
    assert url is not None
    world = World(make_engine(url))
    for account in ACCOUNTS[:-1]:
        world.account(account)
    send_months(world.store, ACCOUNTS)
    world.engine.dispose()
    return cli


def test_signs_are_listed_and_each_says_how_to_look_further(month: Cli) -> None:
    shown = month("anomalies", "--month", "2026-10")
    assert shown.code == 1
    assert shown.err == ""
    said = shown.out.splitlines()
    assert said[0] == "2026-10: 18 accounts compared, 7 signs of misuse:"
    assert "account" in said[2] and "at stake" in said[2]
    sentence = next(each for each in said if "cacher: " in each)
    assert sentence.endswith(
        "cacher: 1,140 of 1,500 runs that ended well were cached; usual is 6.0 % in 3 months before and 6.0 %"
        " among 18 accounts; 1,050 beyond that."
    )
    looks = [each.strip() for each in said if each.startswith("   billing ")]
    assert len(looks) == 7
    for each in looks:
        month.done(*shlex.split(each)[1:])


def test_the_document_is_that_of_the_other_doors(month: Cli) -> None:
    shown = month("anomalies", "--month", "2026-10", "--json")
    assert shown.code == 1
    url = month.env["BILLING_DATABASE_URL"]
    assert url is not None
    assert shown.data == find_anomalies(World(make_engine(url)).service, OCTOBER).to_data()


def test_a_month_without_signs_is_one_sentence(month: Cli) -> None:
    assert month.done("anomalies", "--month", "2026-09").out == (
        "2026-09: 18 accounts compared: no signs of misuse\n"
    )
    assert month.json("anomalies", "--month", "2026-10", "--account", "honest-00")["ok"]


def test_what_is_asked_wrongly_is_said(cli: Cli) -> None:
    assert "there is no account 'nobody'" in cli("anomalies", "--account", "nobody").error
    assert cli("anomalies", "--month", "October").code == 2

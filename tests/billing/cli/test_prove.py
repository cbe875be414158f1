"""billing prove, and what verifies: what is wrong is printed, and the exit code is 1."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billing.invoices import list_invoices
from metering.outcome import Action
from metering.store import Correction
from tests.billing.cli.conftest import Cli
from tests.billing.months import dollars
from tests.events import runs
from tests.world import OCTOBER, World

pytestmark = pytest.mark.behind_the_back


@pytest.fixture
def world(cli_on_both: Cli, engine: sa.Engine) -> World:
    world = dollars(engine)
    world.send(runs(3))
    world.service.run_month(OCTOBER)
    return world


def rewrite(world: World, *statements: str) -> None:
    """Behind the service's back."""
    with world.engine.begin() as connection:
        for each in statements:
            connection.exec_driver_sql(each)


def test_damage_is_told_and_no_failure(cli_on_both: Cli, world: World) -> None:
    (invoice,) = list_invoices(world.engine)
    rewrite(
        world,
        "UPDATE invoices SET usage_by_day = '{'",
        "UPDATE audit_entries SET states = '{' WHERE number = 2",
    )
    for command in (["invoices", "verify", invoice.number or ""], ["prove"], ["audit", "verify"]):
        done = cli_on_both(*command)
        assert done.code == 1 and "unexpected" not in done.err, command
        again = cli_on_both(*command, "--json")
        assert again.code == 1 and again.data, command
    assert "cannot be read (JSONDecodeError" in cli_on_both("prove", "--json").out
    assert "its states cannot be read" in cli_on_both("audit", "verify").out


def test_what_is_kept_beside_is_proved_too(cli_on_both: Cli, world: World) -> None:
    assert cli_on_both("prove", "--counters").code == 0
    rewrite(world, "UPDATE invoice_numbers SET last = 2", "DELETE FROM run_buckets")
    done = cli_on_both("prove", "--counters")
    assert done.code == 1 and "task runs of " in done.out
    missing = "there is no document 2026-10-000002: numbers have no gaps"
    assert missing in done.out
    assert missing in [each["says"] for each in cli_on_both("prove", "--json").data["findings"]]


def test_a_correction_without_an_entry_is_confirmed(cli_on_both: Cli, world: World) -> None:
    """As a service of an older version left it that was killed before its entry."""
    world.store.correct("acme", ["run-0000001"], Correction(Action.REVERSE, "twice", "ann"), world.instant)
    done = cli_on_both("prove")
    assert (
        done.code == 1 and "no entry tells of the correction at position 2: 1 task runs of acme" in done.out
    )
    wrong = cli_on_both("corrections", "confirm", "3", "--reason", "ticket 1")
    assert wrong.code == 2 and "nothing was corrected at position 3; see: billing prove" in wrong.err
    said = cli_on_both.done("corrections", "confirm", "2", "--reason", "ticket 1")
    assert said.out == "1 task runs: the audit trail has their correction now.\n"
    assert cli_on_both("prove").code == 0
    assert cli_on_both.json("corrections", "confirm", "2", "--reason", "again") == {"confirmed": 1}
    (entry, _) = [each for each in cli_on_both.json("audit", "list") if each["deed"] == "runs.confirmed"]
    assert entry["by"].startswith("operator ") and entry["account"] == "acme"

"""billing downgrade"""

from __future__ import annotations

from tests.billing.cli.conftest import Cli


def test_the_schema_is_taken_back_by_who_knows_what_is_lost(cli: Cli) -> None:
    cli.done("operators", "link", "ada", "--role", "viewer")
    refused = cli("downgrade", "--to", "0012")
    assert refused.code == 1
    assert "loses 1 of operator_sessions" in refused.out and "Nothing was done" in refused.err
    cli.done("accounts", "list")
    gone = cli.json("downgrade", "--to", "0012", "--yes")
    assert (gone["done"], gone["steps"][-1]["lost"]) == (True, {"operator_sessions": 1})
    older = cli("accounts", "list")
    assert older.code == 2 and "run: billing init" in older.err
    cli.done("init", "--no-key")
    assert cli.json("operators", "list", "--all") == []
    cli.done("prove")


def test_nothing_to_lose_takes_no_yes(cli: Cli) -> None:
    assert "lost nothing" in cli.done("downgrade", "--to", "0013").out
    cli.done("init", "--no-key")

"""billing summary."""

from __future__ import annotations

from metering import clock
from metering.period import DAY_US, HOUR_US, Month, format_instant
from tests.billing.cli.conftest import Cli, event, lines


def test_the_month_so_far_for_people_and_for_programs(cli: Cli) -> None:
    now = clock.now_instant()
    ended = {"started_at": format_instant(now), "ended_at": format_instant(now)}
    cli.done("accounts", "add", "acme", "--plan", "starter", "--billing-from", str(Month.of(now)))
    cli.done("ingest", "-", stdin=lines(*(event(number, **ended) for number in range(5))))
    shown = cli.done("summary", "acme").out
    assert f"acme, {Month.of(now)}" in shown and "0.00 USD" in shown
    assert "Free runs: 5 of 10,000 used." in shown
    assert "The next run costs 0 USD, and 9,995 runs until the next bracket." in shown
    data = cli.json("summary", "acme")
    assert (data["billable"], data["amount"], data["forecast"]) == (5, 0, None)
    assert "earlier days" not in shown
    cli.done("accounts", "add", "later", "--billing-from", str(Month.of(now).next()))
    assert f"later is billed from {Month.of(now).next()} on" in cli.done("summary", "later").out


def test_what_the_forecast_was_off_before(cli: Cli) -> None:
    now = clock.now_instant()
    cli.done("accounts", "add", "acme", "--plan", "starter", "--billing-from", str(Month.of(now)))
    said = []
    for back in range(60):
        ended = {"ended_at": format_instant(now - back * DAY_US)}
        said.append(event(back, **{"started_at": format_instant(now - back * DAY_US - HOUR_US)}, **ended))
    cli.done("ingest", "-", stdin=lines(*said))
    past = cli.json("summary", "acme")["forecast"]["past"]
    assert past["asked"] > 20 and past["off_percent"] == 0 and past["held"] == past["ranges"]
    assert past["message"] in " ".join(cli.done("summary", "acme").out.split())

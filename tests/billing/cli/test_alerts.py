"""billing alerts, webhooks and deliveries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from metering import clock
from metering.period import format_instant
from tests.billing.alerts.receiver import Postbox, Receiver, posting, receiving, text_of
from tests.billing.cli.conftest import Cli, event, lines


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def box() -> Iterator[tuple[Postbox, str]]:
    with posting() as made:
        yield made


def _use(cli: Cli, count: int) -> None:
    """Task runs of just now."""
    now = format_instant(clock.now_instant())
    ended = {"started_at": now, "ended_at": now}
    cli.done("ingest", "-", stdin=lines(*(event(number, **ended) for number in range(count))))


def test_from_a_budget_to_a_webhook_a_letter_and_their_log(
    cli: Cli, receiver: Receiver, box: tuple[Postbox, str]
) -> None:
    postbox, url = box
    cli.env |= {
        "BILLING_WEBHOOK_PRIVATE": "on",
        "BILLING_SMTP_URL": url,
        "BILLING_MAIL_FROM": "billing@example.com",
        "BILLING_MAIL_OPERATOR": "boss@example.com",
    }
    cli.done("accounts", "add", "acme", "--plan", "starter", "--email", "ops@acme.example")
    added = cli.json("webhooks", "add", receiver.url, "--event", "usage.threshold_reached")
    assert cli.json("webhooks", "list") == [{k: v for k, v in added.items() if k != "secret"}]
    assert added["secret"] not in cli.done("webhooks", "show", added["id"]).out
    tested = cli.json("webhooks", "test", added["id"])
    assert (tested["status"], tested["response_status"]) == ("delivered", 204)
    data = cli.json("alerts", "set", "acme", "--budget", "500.00")
    assert (data["budget"], data["mail"], data["currency"]) == (50_000, True, "USD")
    assert "500.00 USD a month" in cli.done("alerts", "show", "acme").out
    _use(cli, 5_100)
    assert "No threshold" in cli.done("alerts", "list").out
    (reached,) = cli.json("alerts", "check")
    assert (reached["kind"], reached["basis"], reached["threshold"]) == ("free_runs", "actual", 50)
    assert cli.json("alerts", "list", "--account", "acme") == [reached]
    assert reached["message"] in cli.done("alerts", "list").out
    assert cli.json("alerts", "check") == []
    assert cli.json("deliveries", "send") == {"delivered": 3, "pending": 0, "failed": 0}
    said = Webhook(added["secret"]).verify(receiver.got[-1].body, receiver.got[-1].headers)
    assert said["data"]["alert"] == reached["id"]
    assert postbox.to == ["ops@acme.example", "boss@example.com"]
    assert text_of(postbox.letters[0], "plain").startswith(reached["message"])
    deliveries = cli.json("deliveries", "list", "--status", "delivered")
    assert {each["target"] for each in deliveries} == {added["id"], *postbox.to}
    sent = next(
        each for each in deliveries if each["event"] == receiver.ids[-1] and each["channel"] == "webhook"
    )
    assert cli.json("deliveries", "show", sent["id"])["body"] == said
    assert "delivered, answered 204" in cli.done("deliveries", "resend", sent["id"]).out
    assert receiver.ids[-1] == receiver.ids[-2]
    assert sent["id"] in cli.done("deliveries", "list").out


def test_what_failed_is_to_be_looked_at_and_sent_again(cli: Cli, receiver: Receiver) -> None:
    cli.env["BILLING_WEBHOOK_PRIVATE"] = "on"
    made = cli.json("webhooks", "add", receiver.url)
    receiver.status, receiver.body = 410, b"gone"
    outcome = cli("webhooks", "test", made["id"])
    assert outcome.code == 1 and "answered 410" in outcome.out
    assert "disabled: answered 410: it is gone" in cli.done("webhooks", "show", made["id"]).out
    assert "enable it first" in cli("webhooks", "test", made["id"]).error
    assert cli.json("webhooks", "enable", made["id"])["status"] == "enabled"
    receiver.status = 503
    assert cli("deliveries", "resend", "--endpoint", made["id"]).code == 1
    (waiting,) = cli.json("deliveries", "list", "--status", "pending")
    assert cli("deliveries", "resend", waiting["id"]).code == 1
    receiver.status = 200
    assert cli.json("deliveries", "resend", waiting["id"])[0]["status"] == "delivered"
    changed = cli.json("webhooks", "update", made["id"], "--event", "invoice.paid", "--description", "books")
    assert (changed["event_types"], changed["description"]) == (["invoice.paid"], "books")
    assert cli.json("webhooks", "update", made["id"], "--all-events")["event_types"] == []
    assert cli.json("webhooks", "rotate-secret", made["id"])["secret"] != made["secret"]
    assert cli.json("webhooks", "disable", made["id"])["status"] == "disabled"
    assert "told nothing more" in cli.done("webhooks", "remove", made["id"]).out
    assert "None." in cli.done("webhooks", "list").out


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"BILLING_SMTP_URL": "smtp://127.0.0.1:25"}, "BILLING_MAIL_FROM"),
        ({"BILLING_SMTP_URL": "http://u:secret@x", "BILLING_MAIL_FROM": "b@example.com"}, "smtp://user"),
        ({"BILLING_MAIL_OPERATOR": "boss"}, "BILLING_MAIL_OPERATOR 'boss' is not an address"),
    ],
)
def test_settings_of_mail_that_cannot_be_used(cli: Cli, settings: dict[str, str], says: str) -> None:
    outcome = cli("deliveries", "send", **settings)
    assert outcome.code == 2
    assert says in outcome.error and "secret" not in outcome.error

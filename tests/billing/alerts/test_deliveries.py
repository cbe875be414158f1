"""Deliveries to a real HTTP server and a real mail server: signed, retried, left alone, never lost."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from itertools import count

import pytest
import sqlalchemy as sa
from freezegun import freeze_time
from standardwebhooks import Webhook, WebhookVerificationError

import billing.notification_tables as tables
from billing.alerts.settings import set_alerts
from billing.errors import Invalid, NotFound, Refused
from billing.notifications.backoff import DISABLED_AFTER_US, MOST_ATTEMPTS
from billing.notifications.endpoints import (
    NewSecret,
    add_endpoint,
    endpoint_data,
    list_endpoints,
    make_test,
    remove_endpoint,
    rotate_secret,
    show_endpoint,
    update_endpoint,
)
from billing.notifications.mail import mail_server as read_mail_server
from billing.notifications.sending import Sender, resend, resend_failed, show_delivery
from billing.notifications.telling import make_event, tell
from billing.repository import notifications
from billing.repository.notifications import CLAIM_US, Delivery
from metering.database import reading, writing
from metering.period import DAY_US, HOUR_US, MINUTE_US, SECOND_US, to_datetime
from tests.billing.alerts.receiver import Postbox, Receiver, receiving, text_of
from tests.billing.alerts.test_checking import check, small, use
from tests.conftest import NewDatabase
from tests.faults.killing import KillAt, Killed
from tests.world import World

DEAD = "http://127.0.0.1:9/hooks"


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return small(engine)


def sender(world: World, **more: object) -> Sender:
    return replace(Sender(world.engine, lambda: world.instant, private=True), **more)  # type: ignore[arg-type]


def listen(world: World, url: str, account: str | None = None, *types: str) -> NewSecret:
    return add_endpoint(
        world.engine, url, account=account, event_types=types, private=True, by="test", now=world.instant
    )


def happen(world: World, count: int = 1, account: str | None = "acme", type_: str = "invoice.paid") -> None:
    with writing(world.engine) as connection:
        made = [
            make_event(type_, f"{account}-{world.instant}-{each}", account, "It happened.", {}, world.instant)
            for each in range(count)
        ]
        tell(connection, made)


def log(world: World) -> list[Delivery]:
    with reading(world.engine) as connection:
        return notifications.search(connection)


def verified(world: World, receiver: Receiver, secret: str) -> list[str]:
    """The types of what came, each signed with the secret."""
    with freeze_time(to_datetime(world.instant)):
        return [Webhook(secret).verify(each.body, each.headers)["type"] for each in receiver.got]


def test_what_happens_is_told_signed_and_once(world: World, receiver: Receiver) -> None:
    made = listen(world, receiver.url)
    use(world, *range(5))
    check(world)
    assert sender(world).send_due() == {"delivered": 1}
    assert sender(world).send_due() == {}
    assert verified(world, receiver, made.secret) == ["usage.threshold_reached"]
    (request,) = receiver.got
    assert request.path == "/hooks?a=b"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] in receiver.url
    (delivery,) = log(world)
    assert (delivery.status, delivery.attempts, delivery.response_status) == ("delivered", 1, 204)
    assert delivery.event == receiver.ids[0]


def test_of_a_customer_only_their_own_account_is_told(world: World, receiver: Receiver) -> None:
    world.account("other")
    with receiving() as theirs, receiving() as picky:
        listen(world, receiver.url)
        listen(world, theirs.url, "other")
        listen(world, picky.url, None, "invoice.voided")
        happen(world)
        happen(world, account="other")
        happen(world, account="other", type_="invoice.voided")
        happen(world, account="other", type_="webhook_endpoint.disabled")
        sender(world).send_due()
        types = [[json.loads(each.body)["type"] for each in one.got] for one in (receiver, theirs, picky)]
    assert types == [
        ["invoice.paid", "invoice.paid", "invoice.voided", "webhook_endpoint.disabled"],
        ["invoice.paid", "invoice.voided"],
        ["invoice.voided"],
    ]


def test_an_endpoint_is_told_of_what_happens_from_then_on(world: World, receiver: Receiver) -> None:
    with receiving() as first:
        listen(world, first.url)
        happen(world)
        world.instant += SECOND_US
        listen(world, receiver.url)
        sender(world).send_due()
        assert (len(first.got), len(receiver.got)) == (1, 0)


def test_what_nobody_listens_to_is_not_kept(world: World) -> None:
    happen(world)
    with reading(world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.events)) == 0


def test_two_secrets_sign_for_a_day(world: World, receiver: Receiver) -> None:
    first = listen(world, receiver.url)
    second = rotate_secret(world.engine, first.endpoint.id, world.instant)
    assert first.secret != second.secret
    happen(world)
    sender(world).send_due()
    assert verified(world, receiver, first.secret) == verified(world, receiver, second.secret)
    world.instant += DAY_US
    receiver.got.clear()
    happen(world)
    sender(world).send_due()
    assert verified(world, receiver, second.secret)
    with pytest.raises(WebhookVerificationError):
        verified(world, receiver, first.secret)


def test_a_delivery_is_tried_for_days_with_one_id_and_then_given_up(world: World, receiver: Receiver) -> None:
    listen(world, receiver.url)
    happen(world)
    receiver.status, receiver.body = 500, b"it is \xff broken" + b"x" * 2_000
    began = world.instant
    while log(world) == [] or log(world)[0].status == "pending":
        sender(world).send_due()
        (delivery,) = log(world)
        assert delivery.error == "answered 500"
        assert delivery.response is not None
        assert delivery.response.startswith("it is � broken") and len(delivery.response) == 1_000
        world.instant = max(delivery.next_attempt_at, world.instant)
    assert delivery.status == "failed"
    assert delivery.attempts == len(receiver.got) == MOST_ATTEMPTS
    assert len(set(receiver.ids)) == 1
    assert world.instant - began > 3 * DAY_US
    times = [int(each.headers["webhook-timestamp"]) for each in receiver.got]
    assert times == sorted(set(times))
    receiver.status = 200
    sent = resend(world.engine, delivery.id, world.instant)
    assert sender(world).send_one(sent.id).status == "delivered"
    assert len(set(receiver.ids)) == 1
    assert show_endpoint(world.engine, delivery.target).failures == 0


def test_a_dead_endpoint_is_asked_rarely_and_keeps_nobody_waiting(world: World, receiver: Receiver) -> None:
    listen(world, receiver.url)
    with receiving() as dead:
        dead.status = 503
        listen(world, dead.url)
        happen(world, 60)
        for _ in range(24 * 12):
            world.instant += 5 * MINUTE_US
            sender(world).send_due()
            assert len(receiver.got) == 60
        assert 10 < len(dead.got) <= 30
        assert {each.attempts for each in log(world) if each.status == "pending"} <= {0, 1, 2, 3}
        dead.status = 200
        world.instant += HOUR_US
        assert sender(world).send_due()["delivered"] > 0
        world.instant += 5 * HOUR_US
        sender(world).send_due()
        assert {each.status for each in log(world)} == {"delivered"}


def test_an_endpoint_that_fails_for_days_is_disabled_with_a_clear_message(world: World) -> None:
    made = listen(world, DEAD)
    began = world.instant
    with receiving() as mine:
        listen(world, mine.url, None, "webhook_endpoint.disabled")
        while show_endpoint(world.engine, made.endpoint.id).status == "enabled":
            assert world.instant - began < 2 * DISABLED_AFTER_US
            happen(world)
            sender(world).send_due()
            world.instant += 6 * HOUR_US
        sender(world).send_due()
        message = json.loads(mine.got[0].body)["data"]["message"]
    endpoint = show_endpoint(world.engine, made.endpoint.id)
    assert "has failed since 2026-10-15T12:00:00Z" in str(endpoint.disabled_reason)
    assert f"billing webhooks enable {endpoint.id}" in message
    mine_log = [each for each in log(world) if each.endpoint == endpoint.id]
    assert {each.status for each in mine_log} == {"failed"}
    with pytest.raises(Refused, match="billing webhooks enable"):
        resend(world.engine, mine_log[0].id, world.instant)
    with pytest.raises(Refused, match="enable it first"):
        make_test(world.engine, endpoint.id, world.instant)
    with pytest.raises(Refused):
        resend_failed(world.engine, endpoint.id, world.instant)


def test_enabled_again_it_gets_what_it_missed(world: World, receiver: Receiver) -> None:
    made = listen(world, receiver.url)
    happen(world, 3)
    receiver.status = 410
    assert sender(world).send_due()["failed"] == 1
    endpoint = show_endpoint(world.engine, made.endpoint.id)
    assert (endpoint.status, endpoint.disabled_reason) == ("disabled", "answered 410: it is gone")
    receiver.status = 200
    happen(world)
    assert sender(world).send_due() == {}
    again = update_endpoint(world.engine, endpoint.id, now=world.instant, status="enabled", private=True)
    assert (again.status, again.disabled_reason, again.failures) == ("enabled", None, 0)
    assert resend_failed(world.engine, endpoint.id, world.instant) == 3
    assert sender(world).send_due() == {"delivered": 3}
    assert len(set(receiver.ids)) == 3


def test_redirects_are_not_followed(world: World, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.location = 307, elsewhere.url
        listen(world, receiver.url)
        happen(world)
        sender(world).send_due()
        assert elsewhere.got == []
    (delivery,) = log(world)
    assert delivery.error is not None and "redirects are not followed" in delivery.error


def test_an_answer_that_never_ends_is_left(world: World, receiver: Receiver) -> None:
    receiver.drip = True
    listen(world, receiver.url)
    happen(world)
    sender(world, timeout_seconds=0.5).send_due()
    (delivery,) = log(world)
    assert delivery.error == "no answer within 0.5 seconds"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.com/", "must begin with https://"),
        ("https://127.0.0.1/", "not on the public internet"),
        ("https://[::1]/", "not on the public internet"),
        ("https://[::ffff:10.0.0.1]/", "not on the public internet"),
        ("https://[64:ff9b::7f00:1]/", "not on the public internet"),
        ("https://169.254.169.254/latest", "not on the public internet"),
        ("https://user:password@example.com/", "must not hold a user"),
        ("https://example.com/#part", "a fragment"),
        ("ftp://example.com/", "such as https://"),
        ("https:///x", "such as https://"),
        ("example.com", "such as https://"),
        ("https://example.com:99999/", "is not an address"),
        ("https://[::1/", "is not an address"),
        ("https://exa mple.com/", "without spaces"),
        ("https://example.com/é", "without spaces"),
        (f"https://example.com/{'x' * 2000}", "at most 2000"),
    ],
)
def test_addresses_that_are_not_asked(world: World, url: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as raised:
        add_endpoint(world.engine, url, private=False, by="test", now=world.instant)
    assert raised.value.field == "url"
    assert "password@" not in str(raised.value)
    assert list_endpoints(world.engine) == []


def test_a_name_that_leads_inside_is_not_asked(world: World, receiver: Receiver) -> None:
    """As one may that led elsewhere when it was registered."""
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    add_endpoint(world.engine, url, private=False, by="test", now=world.instant)
    listen(world, "http://nowhere.invalid/")
    happen(world)
    sender(world, private=False).send_due()
    assert receiver.got == []
    first, second = log(world)
    assert first.error is not None and "not on the public internet" in first.error
    assert second.error is not None and "https://" in second.error
    world.instant += MINUTE_US
    sender(world).send_due()
    assert "not found" in str(log(world)[1].error)


def test_endpoints_are_changed_and_removed(world: World, receiver: Receiver) -> None:
    made = listen(world, receiver.url)
    shown = endpoint_data(made.endpoint)
    assert made.secret.startswith("whsec_") and made.secret not in json.dumps(shown)
    changed = update_endpoint(
        world.engine,
        made.endpoint.id,
        event_types=["invoice.paid"],
        description="books",
        private=False,
        now=world.instant,
    )
    assert (changed.event_types, changed.description) == (("invoice.paid",), "books")
    for wrong, field in (
        ({"event_types": ["invoice.lost"]}, "event_types"),
        ({"status": "lost"}, "status"),
        ({"description": "a\x00"}, "description"),
        ({"url": DEAD}, "url"),
        ({}, None),
    ):
        with pytest.raises(Invalid) as raised:
            update_endpoint(world.engine, made.endpoint.id, now=world.instant, private=False, **wrong)  # type: ignore[arg-type]
        assert raised.value.field == field
    happen(world)
    sender(world).make_deliveries()
    remove_endpoint(world.engine, made.endpoint.id, now=world.instant)
    assert list_endpoints(world.engine) == []
    assert sender(world).send_due() == {}
    (delivery,) = log(world)
    assert (delivery.status, delivery.error) == ("failed", "the endpoint was removed")
    with reading(world.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.webhook_secrets)) == 0
    with pytest.raises(Refused, match="was removed"):
        resend(world.engine, delivery.id, world.instant)
    for missing in (
        lambda: show_endpoint(world.engine, made.endpoint.id),
        lambda: remove_endpoint(world.engine, made.endpoint.id, now=world.instant),
        lambda: rotate_secret(world.engine, made.endpoint.id, world.instant),
        lambda: make_test(world.engine, "whe_0", world.instant),
        lambda: resend_failed(world.engine, "whe_0", world.instant),
        lambda: show_delivery(world.engine, "dlv_0"),
        lambda: show_delivery(world.engine, delivery.id, account="acme"),
        lambda: listen(world, receiver.url, "nobody"),
    ):
        with pytest.raises(NotFound):
            missing()


def test_a_test_goes_to_one_endpoint_at_once(world: World, receiver: Receiver) -> None:
    with receiving() as other:
        listen(world, other.url)
        made = listen(world, receiver.url, None, "invoice.paid")
        delivery = sender(world).send_one(make_test(world.engine, made.endpoint.id, world.instant))
        assert delivery.status == "delivered"
        assert verified(world, receiver, made.secret) == ["webhook.test"]
        assert sender(world).send_due() == {} and other.got == []


def test_mail_goes_to_the_account_and_to_the_operator(world: World, mail_server: tuple[Postbox, str]) -> None:
    box, url = mail_server
    box.letters.clear()
    box.to.clear()
    post = sender(
        world,
        server=read_mail_server(url),
        mail_from="Billing <billing@example.com>",
        operator="boss@example.com",
    )
    use(world, *range(4), on="2026-10-14")
    check(world)
    assert post.send_due() == {"delivered": 2}
    assert box.to == ["ops@acme.example", "boss@example.com"]
    letter = box.letters[0]
    assert letter["Subject"] == "Forecast: 100 % of the free runs of 2026-10 (acme)"
    assert letter["From"] == "Billing <billing@example.com>"
    assert letter["Message-ID"].endswith("@example.com>")
    text, page = text_of(letter, "plain"), text_of(letter, "html")
    assert text.splitlines()[0].startswith(
        "Forecast: at the pace of the last weeks, 100 % of the 10 free task"
    )
    assert "Limit: 10 task runs\nSo far: 4 task runs\nForecast, at the pace of the last weeks: " in text
    assert "<p>Forecast: at the pace" in page and '<html lang="en">' in page
    # What was chosen not to come by mail does not; the operator's does.
    set_alerts(world.engine, "acme", mail=False, by="test", now=world.instant)
    use(world, 4, on="2026-10-14")
    check(world)
    assert post.send_due() == {"delivered": 1}
    assert box.to[-1] == "boss@example.com"


def test_markup_in_what_customers_say_stays_text(world: World, mail_server: tuple[Postbox, str]) -> None:
    box, url = mail_server
    box.letters.clear()
    post = sender(
        world, server=read_mail_server(url), mail_from="billing@example.com", operator="boss@example.com"
    )
    with writing(world.engine) as connection:
        data = {"dispute": "dsp_1\r\nBcc: all@example.com"}
        made = make_event("dispute.raised", "1", "acme", "<b>né</b>\n& more", data, world.instant)
        tell(connection, [made])
    post.send_due()
    (letter,) = box.letters
    assert letter["Subject"] == "Dispute dsp_1 Bcc: all@example.com (acme)" and letter["Bcc"] is None
    assert "<p>&lt;b&gt;né&lt;/b&gt;</p><p>&amp; more</p>" in text_of(letter, "html")
    assert text_of(letter, "plain") == "<b>né</b>\n& more\n"


def test_a_mail_server_that_is_busy_or_away_is_tried_again(
    world: World, mail_server: tuple[Postbox, str]
) -> None:
    box, url = mail_server
    box.letters.clear()
    post = sender(
        world, server=read_mail_server(url), mail_from="billing@example.com", operator="boss@example.com"
    )
    use(world, *range(5))
    check(world)
    box.busy, box.asked = True, 0
    assert post.send_due() == {"pending": 1}
    assert box.asked == 1  # the other letter waits for the next time
    box.busy, box.refused = False, {"ops@acme.example"}
    world.instant += 2 * MINUTE_US
    assert post.send_due() == {"delivered": 1, "failed": 1}
    box.refused = set()
    failed = next(each for each in log(world) if each.status == "failed")
    assert (failed.response_status, failed.target) == (550, "ops@acme.example")
    assert "no such user" in str(failed.error)
    away = replace(post, server=read_mail_server("smtp://127.0.0.1:9"))
    resend(world.engine, failed.id, world.instant)
    assert "cannot be used" in str(away.send_one(failed.id).error)
    wrong = replace(post, server=read_mail_server(url.replace("p%40ss", "s3cret")))
    resend(world.engine, failed.id, world.instant)
    refused = wrong.send_one(failed.id)
    assert refused.response_status == 535 and "s3cret" not in str(refused)
    assert "s3cret" not in repr(wrong)
    # Without a server it waits for one.
    assert sender(world).send_due() == {}
    world.instant += HOUR_US
    assert post.send_due() == {"delivered": 1}


@pytest.mark.parametrize("url", ["smtp://", "http://host", "smtp://host:x", "smtp://host/path", "host:25"])
def test_addresses_of_mail_servers(url: str) -> None:
    with pytest.raises(Invalid, match="BILLING_SMTP_URL"):
        read_mail_server(url)


def test_the_log_is_kept_for_a_while(world: World, receiver: Receiver) -> None:
    listen(world, receiver.url)
    happen(world, 2)
    sender(world).send_due()
    world.instant += DAY_US
    receiver.status = 500
    happen(world)
    sender(world).send_due()
    for instant, left in ((world.instant - DAY_US, 3), (world.instant + 1, 1)):
        with writing(world.engine) as connection:
            notifications.forget_before(connection, instant)
        assert len(log(world)) == left
    assert log(world)[0].status == "pending"


def test_killed_anywhere_it_is_told_at_least_once_with_one_id(
    new_database: NewDatabase, receiver: Receiver
) -> None:
    """At each transaction's beginning and end: so before a request is made, and after it."""

    def work(world: World) -> None:
        check(world)
        sender(world).send_due()

    for step in count(1):
        world = small(new_database())
        listen(world, receiver.url)
        use(world, *range(8))
        receiver.got.clear()
        kill = KillAt(step)
        kill.listen(world.engine)
        with contextlib.suppress(Killed):
            work(world)
        kill.forget(world.engine)
        world.instant += CLAIM_US
        work(world)
        assert {each.status for each in log(world)} == {"delivered"}, step
        thresholds = [json.loads(each.body)["data"]["threshold"] for each in receiver.got]
        assert set(thresholds) == {50, 80} and len(thresholds) <= 3, step
        assert len(set(receiver.ids)) == 2, step
        if not kill.reached:
            assert step > 20
            return

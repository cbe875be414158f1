"""Letters to a real mail server: to whom, in what words, and again later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.alerts.settings import set_alerts
from billing.errors import Invalid
from billing.notifications.mail import mail_server as read_mail_server
from billing.notifications.sending import resend
from billing.notifications.telling import make_event, tell
from metering.database import writing
from metering.period import HOUR_US, MINUTE_US
from tests.billing.alerts.delivering import log, sender
from tests.billing.alerts.receiver import Postbox, text_of
from tests.billing.alerts.small import check, use
from tests.world import World


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

"""E-mail: what an event looks like as a letter, and how it is handed to a mail server."""

from __future__ import annotations

import html
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from billing.errors import Invalid
from billing.pricing.money import format_amount
from metering.period import parse_instant, to_datetime

TIMEOUT_SECONDS = 15.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_SUBJECTS = {
    "usage.threshold_reached": "{threshold} % of the free runs of {period}",
    "budget.threshold_reached": "{threshold} % of the budget for {period}",
    "contract.run_balance_low": "{threshold} % of the committed runs of {period}",
    "invoice.payment_failed": "Invoice {number}: a payment failed",
    "dispute.raised": "Dispute {dispute}",
    "dispute.answered": "Your dispute was answered",
    "webhook_endpoint.disabled": "A webhook endpoint was disabled",
}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in: `smtp` (STARTTLS where the server has it) or `smtps`."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None

    def __repr__(self) -> str:  # the password is for the server alone
        return f"MailServer({self.scheme}://{self.host}:{self.port})"


def mail_server(url: str) -> MailServer:
    """Read `smtp://user:password@host:587` or `smtps://…`. Raises Invalid, without what was written: it may
    hold a password."""
    wrong = Invalid(
        "BILLING_SMTP_URL is not the address of a mail server; write smtp://user:password@host:587, or "
        "smtps://…:465",
        field="smtp_url",
    )
    try:
        read = urlsplit(url)
        port = read.port
    except ValueError:
        raise wrong from None
    if read.scheme not in ("smtp", "smtps") or not read.hostname or read.path not in ("", "/") or read.query:
        raise wrong
    user, password = (None if each is None else unquote(each) for each in (read.username, read.password))
    return MailServer(
        read.scheme, read.hostname, port or (587 if read.scheme == "smtp" else 465), user, password
    )


def letter(event_id: str, said: dict[str, Any], sender: str, recipient: str) -> EmailMessage:
    """An event as a letter in plain text and HTML. Its Message-ID is made of the event, so that one that
    comes twice is recognised."""
    type_, data = said["type"], said["data"]
    made = EmailMessage()
    forecast = "Forecast: " if data.get("basis") == "forecast" else ""
    account = data["account"]
    subject = forecast + _SUBJECTS[type_].format(**data) + (f" ({account})" if account else "")
    made["Subject"] = " ".join(subject.split())
    made["From"] = sender
    made["To"] = recipient
    made["Date"] = format_datetime(to_datetime(parse_instant(said["timestamp"])))
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    made["Message-ID"] = f"<{event_id}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"
    facts = _facts(data)
    made.set_content(_text(data["message"], facts))
    made.add_alternative(_html(made["Subject"], data["message"], facts), subtype="html")
    return made


def _facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures below the sentence."""
    if "threshold" not in data:
        return []

    def shown(value: int) -> str:
        return f"{value:,} task runs" if data["currency"] is None else format_amount(value, data["currency"])

    facts = [("Limit", shown(data["limit"])), ("So far", shown(data["actual"]))]
    if data["forecast"] is not None:
        facts.append(("Forecast, at the pace of the last weeks", shown(data["forecast"])))
    return facts


def _text(message: str, facts: list[tuple[str, str]]) -> str:
    lines = [message, "", *(f"{name}: {value}" for name, value in facts)]
    return "\n".join(lines).rstrip() + "\n"


def _html(subject: str, message: str, facts: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><th align="left" scope="row">{html.escape(name)}</th>'
        f'<td align="right">{html.escape(value)}</td></tr>'
        for name, value in facts
    )
    table = f'<table cellpadding="4">{rows}</table>' if rows else ""
    paragraphs = "".join(f"<p>{html.escape(each)}</p>" for each in message.splitlines() if each.strip())
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(subject)}</title>'
        f"</head><body>{paragraphs}{table}</body></html>\n"
    )


class Refusal(Exception):  # noqa: N818 - reads as what happened
    """The server does not take the letter, now or ever (`for_good`); the message says why."""

    def __init__(self, message: str, *, for_good: bool = False, status: int | None = None) -> None:
        super().__init__(message)
        self.for_good = for_good
        self.status = status


def send(server: MailServer, made: EmailMessage) -> None:
    """Hand a letter to the server. Raises Refusal."""
    try:
        with _connected(server) as connection:
            connection.send_message(made)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise Refusal(
            f"the recipient is refused: {code} {_words(said)}", for_good=code >= 500, status=code
        ) from None
    except smtplib.SMTPResponseException as error:
        raise Refusal(
            f"the mail server answered {error.smtp_code} {_words(error.smtp_error)}", status=error.smtp_code
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise Refusal(f"the mail server cannot be used: {error or type(error).__name__}") from None


def _connected(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.scheme == "smtps":
        made: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        made = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        made.ehlo()
        safe = server.scheme == "smtps" or server.host in _LOOPBACK
        if server.scheme == "smtp" and made.has_extn("starttls"):
            made.starttls(context=context)
            made.ehlo()
            safe = True
        if server.user is not None:
            if not safe:
                raise Refusal("the mail server has no TLS, and a password is not sent without it")
            made.login(server.user, server.password or "")
    except BaseException:
        made.close()
        raise
    return made


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:500]

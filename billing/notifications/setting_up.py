"""From the settings to what sends."""

from __future__ import annotations

from email.utils import parseaddr

from billing.app import Service
from billing.errors import Invalid
from billing.notifications.mail import mail_server
from billing.notifications.sending import Sender


def sender_of(service: Service) -> Sender:
    """Raises Invalid for settings of mail that cannot be used."""
    settings = service.settings
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
    sender = settings.mail_from or None
    if url and not sender:
        raise Invalid("BILLING_SMTP_URL is set; say who writes as well: BILLING_MAIL_FROM", field="mail_from")
    for name, address in (("BILLING_MAIL_FROM", sender), ("BILLING_MAIL_OPERATOR", settings.mail_operator)):
        if address and "@" not in parseaddr(address)[1]:
            raise Invalid(f"{name} {address!r} is not an address such as billing@example.com")
    return Sender(
        service.engine,
        service.now,
        private=settings.webhook_private == "on",
        server=mail_server(url) if url else None,
        mail_from=sender,
        operator=settings.mail_operator or None,
    )

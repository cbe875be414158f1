"""Delivers what is due: at least once each, however often this is killed.

An attempt is claimed before it is made, and what came of it is stored after it: whoever dies in between has
made an attempt that nobody knows of, and when the claim has lapsed the same event is sent again, with the
same id. Targets are served side by side, each one thing after the other; at the first failure a target is
left alone for a while, so that one that is dead is not asked as often as there is something for it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from billing.audit.trail import change
from billing.errors import NotFound, Refused
from billing.notifications import mail, webhook
from billing.notifications.backoff import is_to_be_disabled, next_attempt, paused_until
from billing.notifications.endpoints import locked_endpoint, require_enabled
from billing.notifications.mail import MailServer
from billing.notifications.signing import signed_headers
from billing.notifications.telling import MAIL, make_deliveries, make_event, tell
from billing.notifications.webhook import Answer
from billing.repository import endpoints, notifications
from billing.repository.endpoints import Endpoint
from billing.repository.notifications import Delivery, Event
from metering.database import reading, writing
from metering.period import DAY_US, SECOND_US, format_instant

# So much goes to a target before others get their turn again.
_TOGETHER = 20
# So many targets are served at once.
_SIDE_BY_SIDE = 8
# A delivery with its event is looked at in the log for so long.
KEPT_US = 90 * DAY_US


@dataclass(frozen=True, slots=True)
class Sender:
    """All that sending needs. `private`: whether endpoints may be on private networks. `server` and
    `mail_from` are None where mail is not set up; `operator` is the operator's address, or None."""

    engine: sa.Engine
    now: Callable[[], int]
    private: bool = False
    server: MailServer | None = None
    mail_from: str | None = None
    operator: str | None = None
    timeout_seconds: float = webhook.TIMEOUT_SECONDS

    def send_due(self, stopping: Callable[[], bool] = lambda: False) -> Counter[str]:
        """Make deliveries of what is new, and deliver what is due, round by round until nothing is. Answers
        how many were delivered, are tried again later (`pending`), and are given up (`failed`)."""
        total: Counter[str] = Counter()
        failing: set[str | None] = set()
        if self.server is None:  # what was to be mailed waits until it can be
            failing.add(None)
        while not stopping():
            self.make_deliveries()
            with reading(self.engine) as connection:
                targets = [
                    each for each in notifications.due_targets(connection, self.now()) if each not in failing
                ]
            if not targets:
                break
            for target, done in zip(targets, asyncio.run(self._serve(targets)), strict=True):
                total.update(done)
                if done["pending"] or not done:
                    failing.add(target)
        return total

    def make_deliveries(self) -> int:
        """Decide who is told of what is new."""
        has_mail = self.server is not None
        return make_deliveries(self.engine, self.now(), mail=has_mail, operator=self.operator)

    async def _serve(self, targets: list[str | None]) -> list[Counter[str]]:
        turns = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def one(target: str | None) -> Counter[str]:
            async with turns:
                return await self._serve_target(target)

        return await asyncio.gather(*map(one, targets))

    async def _serve_target(self, target: str | None) -> Counter[str]:
        with reading(self.engine) as connection:
            ids = notifications.due(connection, target, self.now(), _TOGETHER)
        done: Counter[str] = Counter()
        for each in ids:
            delivery = await self._attempt(each)
            if delivery is None:
                continue
            done[delivery.status] += 1
            # What one recipient is refused for, others are not.
            if delivery.status == "pending" or (delivery.status == "failed" and target is not None):
                break
        return done

    def send_one(self, delivery_id: str) -> Delivery:
        """Try a delivery at once, whatever time it was to be tried; answers what came of it."""
        asyncio.run(self._attempt(delivery_id))
        with reading(self.engine) as connection:
            found = notifications.get(connection, delivery_id)
        assert found is not None, "what is on its way is not forgotten"
        return found

    async def _attempt(self, delivery_id: str) -> Delivery | None:
        now = self.now()
        with writing(self.engine) as connection:
            delivery = notifications.claim(connection, delivery_id, now)
            if delivery is None:
                return None
            event = notifications.event(connection, delivery.event)
            endpoint, secrets = None, []
            if delivery.endpoint is not None:
                endpoint = endpoints.get(connection, delivery.endpoint)
                secrets = endpoints.secrets(connection, delivery.endpoint, now)
        if delivery.channel == MAIL:
            answer = await self._mail(delivery, event)
        elif endpoint is None or endpoint.status != "enabled":
            answer = Answer(error="the endpoint was disabled meanwhile", gone=True)
        else:
            body = event.body.encode()
            headers = signed_headers(event.id, now // SECOND_US, body, secrets)
            answer = await webhook.post(
                endpoint.url, body, headers, private=self.private, timeout_seconds=self.timeout_seconds
            )
        return self._keep(delivery, endpoint, answer)

    async def _mail(self, delivery: Delivery, event: Event) -> Answer:
        if self.server is None or self.mail_from is None:
            return Answer(error="mail is not set up; set BILLING_SMTP_URL and BILLING_MAIL_FROM")
        made = mail.letter(event.id, json.loads(event.body), self.mail_from, delivery.target)
        try:
            await asyncio.to_thread(mail.send, self.server, made)
        except mail.Refusal as error:
            return Answer(error.status, None, str(error), gone=error.for_good)
        return Answer(250)

    def _keep(self, delivery: Delivery, endpoint: Endpoint | None, answer: Answer) -> Delivery:
        """Store what came of an attempt."""
        now = self.now()
        seen = {"response_status": answer.status, "response": answer.body, "error": answer.error}
        with writing(self.engine) as connection:
            if answer.error is None:
                notifications.update(connection, delivery.id, status="delivered", delivered_at=now, **seen)
            else:
                again = None if answer.gone else next_attempt(delivery.attempts, now)
                status = "failed" if again is None else "pending"
                due = delivery.next_attempt_at if again is None else again
                notifications.update(connection, delivery.id, status=status, next_attempt_at=due, **seen)
            if endpoint is not None:
                _note(connection, endpoint.id, answer, now)
            found = notifications.get(connection, delivery.id)
        assert found is not None
        return found


def _note(connection: sa.Connection, endpoint_id: str, answer: Answer, now: int) -> None:
    """How an endpoint stands after an attempt: it goes on, is left alone for a while, or is disabled."""
    endpoint = endpoints.get(connection, endpoint_id, lock=True)
    if endpoint is None or endpoint.status != "enabled":
        return
    if answer.error is None:
        if endpoint.failures:
            endpoints.update(connection, endpoint_id, failures=0, failing_since=None, paused_until=0)
        return
    since = now if endpoint.failing_since is None else endpoint.failing_since
    failures = endpoint.failures + 1
    pause = paused_until(failures, now)
    endpoints.update(connection, endpoint_id, failures=failures, failing_since=since, paused_until=pause)
    if answer.gone or is_to_be_disabled(since, now):
        _disable(connection, endpoint, answer, since, now)


def _disable(connection: sa.Connection, endpoint: Endpoint, answer: Answer, since: int, now: int) -> None:
    reason = (
        f"{answer.error}: it is gone"
        if answer.gone
        else f"it has failed since {format_instant(since)[:19]}Z, at last: {answer.error}"
    )
    with change(
        connection,
        "webhook_endpoint.disabled",
        "webhook_endpoint",
        endpoint.id,
        now=now,
        account=endpoint.account,
        reason=reason,
    ):
        endpoints.update(connection, endpoint.id, status="disabled", disabled_reason=reason)
    notifications.give_up(connection, endpoint.id, f"the endpoint was disabled: {reason}")
    message = (
        f"Webhook endpoint {endpoint.id} ({endpoint.url}) is disabled: {reason}. When it is mended: "
        f"billing webhooks enable {endpoint.id}, then: billing deliveries resend --endpoint {endpoint.id}"
    )
    data = {"endpoint": endpoint.id, "url": endpoint.url, "reason": reason}
    key = f"{endpoint.id}:{since}:{now}"
    tell(
        connection,
        [make_event("webhook_endpoint.disabled", key, endpoint.account, message, data, now)],
    )


def resend(engine: sa.Engine, delivery_id: str, now: int, *, account: str | None = None) -> Delivery:
    """Let a delivery be due now, with all its attempts before it, whether it was taken or not; of one account
    only, where given. Raises NotFound, or Refused where its endpoint is disabled or removed."""
    delivery = show_delivery(engine, delivery_id, account=account)
    with writing(engine) as connection:
        if delivery.endpoint is not None:
            endpoint = endpoints.get(connection, delivery.endpoint)
            if endpoint is None:
                raise Refused(f"the endpoint of delivery {delivery_id} was removed; add it anew")
            require_enabled(endpoint)
        notifications.update(connection, delivery_id, status="pending", attempts=0, next_attempt_at=now)
    return delivery


def resend_failed(engine: sa.Engine, endpoint_id: str, now: int) -> int:
    """Let all that an endpoint was not told be due now, in its order; answers how many. Raises NotFound,
    Refused."""
    with writing(engine) as connection:
        require_enabled(locked_endpoint(connection, endpoint_id))
        endpoints.update(connection, endpoint_id, paused_until=0)
        return notifications.retry_failed(connection, endpoint_id, now)


def show_delivery(engine: sa.Engine, delivery_id: str, *, account: str | None = None) -> Delivery:
    """Of one account only, where given. Raises NotFound."""
    with reading(engine) as connection:
        found = notifications.get(connection, delivery_id)
    if found is None or account not in (None, found.account):
        raise NotFound(f"there is no delivery {delivery_id!r}; see: billing deliveries list")
    return found

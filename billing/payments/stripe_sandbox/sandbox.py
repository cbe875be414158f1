"""StripeSandbox: a request in, an answer out, under one lock. No network here, and the clock is given."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from billing.payments.stripe_sandbox import expansion, forms, invoice_life, reversals, routes
from billing.payments.stripe_sandbox.errors import ApiError, ParameterError, unauthorized
from billing.payments.stripe_sandbox.faults import (
    FAILED_INSIDE,
    TURNED_AWAY,
    Fault,
    FaultKind,
    FaultSchedule,
    answer_instead,
    distorted,
)
from billing.payments.stripe_sandbox.idempotency import IdempotencyKeys
from billing.payments.stripe_sandbox.params import read
from billing.payments.stripe_sandbox.state import API_VERSION, Object, State
from billing.payments.stripe_sandbox.webhooks import Send, Webhooks, new_secret
from billing.payments.stripe_sandbox.wire import Answer, LoggedRequest, Request
from metering.clock import now_instant

TEST_KEY = "sk_test_sandbox"
_NO_ANSWER = Answer(0, b"", delivery="close")


def wall_clock() -> int:
    """Unix seconds."""
    return now_instant() // 1_000_000


@dataclass(slots=True)
class Ticket:
    """A request that was received and not answered yet; `answer` is set where it will not run."""

    request: Request
    request_id: str
    route: routes.Route | None = None
    ids: tuple[str, ...] = ()
    raw: Object | None = None
    key: str | None = None
    fault: Fault | None = None
    answer: Answer | None = None
    replayed: bool = False

    @property
    def wait_s(self) -> float:
        """How long the request takes before it runs; its key is in use meanwhile."""
        slow = self.answer is None and self.fault is not None and self.fault.kind is FaultKind.SLOW
        return self.fault.seconds if slow and self.fault is not None else 0.0


class StripeSandbox:
    """A stand-in for one Stripe account in test mode.

    `clock` gives unix seconds; `attempt_payments` says whether an invoice that advances by itself is charged
    when it is finalized, or an hour later as at Stripe (then `advance` or time makes it due). `tax_percent`
    is the one tax that there is, wherever the customer lives, of invoices that are taxed. `seed` makes
    the ids repeat. `faults` may be exchanged at any time; `log` holds the last requests.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] = wall_clock,
        webhook_secret: str | None = None,
        attempt_payments: Literal["immediately", "later"] = "immediately",
        missing_email: Literal["accepted", "refused"] = "accepted",
        tax_percent: int = 0,
        faults: FaultSchedule | None = None,
        seed: str | None = None,
        log_limit: int = 100_000,
    ) -> None:
        self.clock = clock
        self.webhook_secret = webhook_secret or new_secret()
        self.lock = threading.RLock()
        self.on_webhook: Callable[[], None] = lambda: None
        self.log: deque[LoggedRequest] = deque(maxlen=log_limit)
        self.attempt_payments = attempt_payments
        self.missing_email = missing_email
        self.tax_percent = tax_percent
        self.reset(faults=faults, seed=seed)

    def reset(self, *, faults: FaultSchedule | None = None, seed: str | None = None) -> None:
        """Forget everything, endpoints and advanced time included, and begin anew while being served."""
        with self.lock:
            self.faults = faults or FaultSchedule()
            self.webhooks = Webhooks(self.webhook_secret)
            self.log.clear()
            self.state = State(seed or secrets.token_hex(8))
            self.state.on_event = self._on_event
            self._keys = IdempotencyKeys()
            self._ahead_s = 0
            self._requests = 0

    @property
    def now(self) -> int:
        """The sandbox's time: the clock's, and what was advanced beyond it."""
        return self.clock() + self._ahead_s

    def handle(self, request: Request) -> Answer:
        """Answer a request at once (a slow one does not wait here)."""
        return self.complete(self.receive(request))

    def receive(self, request: Request) -> Ticket:
        """Take a request in: check its key, find its route, take its idempotency key."""
        with self.lock:
            self._requests += 1
            ticket = Ticket(request, f"req_{self._requests:014d}")
            try:
                self._admit(ticket)
            except ApiError as error:
                ticket.answer = self._error(ticket, error)
            return ticket

    def complete(self, ticket: Ticket) -> Answer:
        """Run a received request and answer it."""
        with self.lock:
            self._tell_state()
            answer = ticket.answer or self._run(ticket)
            replay = {"Idempotent-Replayed": "true"} if ticket.replayed else {}
            asked = ticket.request.headers.get("stripe-version", API_VERSION)
            headers = {"Request-Id": ticket.request_id, "Stripe-Version": asked, **answer.headers, **replay}
            if ticket.key is not None:
                headers["Idempotency-Key"] = ticket.key
            answer = replace(answer, headers={"Content-Type": "application/json", **headers})
            self._write_log(ticket, answer.status)
            turned_away = ticket.fault is not None and ticket.fault.kind in TURNED_AWAY
            return answer if ticket.fault is None or turned_away else distorted(ticket.fault, answer)

    def advance(self, seconds: int) -> int:
        """Let time pass and do what becomes due; answers how many invoices moved."""
        with self.lock:
            self._ahead_s += seconds
            return self.work_due()

    def work_due(self) -> int:
        """Finalize drafts and attempt payments whose time has come; answers how many invoices moved."""
        with self.lock:
            self._tell_state()
            self.state.request = {"id": None, "idempotency_key": None}
            return invoice_life.work_due(self.state)

    def open_dispute(self, charge: str, amount: int | None = None, reason: str = "general") -> Object:
        """A customer's bank disputes a charge, in full unless told otherwise."""
        with self.lock:
            self._tell_state()
            return reversals.open_dispute(self.state, charge, amount, reason)

    def close_dispute(self, dispute: str, status: str) -> Object:
        """The bank decides a dispute: `won` (by us), `lost`, or `warning_closed`."""
        with self.lock:
            self._tell_state()
            return reversals.close_dispute(self.state, dispute, status)

    def fail_refund(self, refund: str) -> Object:
        """The money of a refund comes back."""
        with self.lock:
            self._tell_state()
            return reversals.fail_refund(self.state, refund)

    def deliver(self, send: Send, limit: int | None = None) -> int:
        """Send what is due to the webhook endpoints; answers how many were sent, whatever came back.

        The lock is not held while sending, so that a receiver may ask the sandbox for the object.
        """
        with self.lock:
            due = self.webhooks.due(self.now)[:limit]
        for delivery in due:
            # Signed with the real time: receivers compare it with their own clock, not with ours.
            status = send(*self.webhooks.message(delivery, self.clock()))
            with self.lock:
                self.webhooks.record(delivery, status, self.now)
        return len(due)

    def _admit(self, ticket: Ticket) -> None:
        request = ticket.request
        _check_key(request.headers.get("authorization", ""))
        found = routes.find(request.method, request.path.rstrip("/"))
        if found is None:
            raise ApiError(
                404,
                f"Unrecognized request URL ({request.method}: {request.path}). Please see "
                "https://stripe.com/docs or we can help at https://support.stripe.com/.",
            )
        ticket.route, ticket.ids = found
        ticket.key = request.headers.get("idempotency-key") if request.method == "POST" else None
        ticket.fault = self.faults.next_call(request.method, ticket.route.template, request.path)
        if ticket.fault is not None and ticket.fault.kind in TURNED_AWAY:
            if ticket.fault.kind is FaultKind.CLOSED_BEFORE_APPLYING:
                ticket.answer = _NO_ANSWER
                return
            raise answer_instead(ticket.fault.kind, ticket.key)
        ticket.raw = _params(request)
        if ticket.key is not None:
            fingerprint = json.dumps([request.method, request.path, ticket.raw], sort_keys=True)
            ticket.answer = self._keys.begin(ticket.key, fingerprint, self.now)
            ticket.replayed = ticket.answer is not None

    def _run(self, ticket: Ticket) -> Answer:
        """Execute; keep the answer for the key once the parameters could be read."""
        assert ticket.route is not None and ticket.raw is not None
        self.state.request = {"id": ticket.request_id, "idempotency_key": ticket.key}
        kept = False
        try:
            params = read(ticket.route.accepts, ticket.raw)
            expansion.check(params.get("expand", ()))
            answer = self._execute(ticket, params)
            if ticket.key is not None:
                self._keys.finish(
                    ticket.key,
                    replace(answer, headers={**answer.headers, "Original-Request": ticket.request_id}),
                )
                kept = True
            return answer
        except ParameterError as error:
            return self._error(ticket, error)
        finally:
            if ticket.key is not None and not kept:
                self._keys.abandon(ticket.key)

    def _execute(self, ticket: Ticket, params: Object) -> Answer:
        assert ticket.route is not None
        kind = ticket.fault.kind if ticket.fault else None
        if kind in FAILED_INSIDE:
            assert kind is not None
            return self._error(ticket, answer_instead(kind, ticket.key))
        try:
            result = ticket.route.handler(self.state, params, *ticket.ids)
        except ParameterError:
            raise
        except ApiError as error:
            return self._error(ticket, error)
        if kind is FaultKind.APPLIED_THEN_500:
            return self._error(ticket, answer_instead(kind, ticket.key))
        result = expansion.expanded(self.state, result, params.get("expand", ()))
        return Answer(200, json.dumps(result, indent=2).encode())

    def _error(self, ticket: Ticket, error: ApiError) -> Answer:
        return Answer(error.status, json.dumps(error.body(ticket.request_id)).encode(), error.headers)

    def _tell_state(self) -> None:
        """The state reads no clock: it is told the time before each step."""
        self.state.now = self.now
        self.state.attempt_payments = self.attempt_payments
        self.state.missing_email = self.missing_email
        self.state.tax_percent = self.tax_percent

    def _on_event(self, event: Object) -> None:
        self.webhooks.enqueue(event, self.state.now)
        self.on_webhook()

    def _write_log(self, ticket: Ticket, status: int) -> None:
        request = ticket.request
        self.log.append(
            LoggedRequest(
                at=self.now,
                method=request.method,
                path=request.path,
                route=ticket.route.template if ticket.route else None,
                params=ticket.raw or {},
                idempotency_key=request.headers.get("idempotency-key"),
                status=status,
                request_id=ticket.request_id,
                replayed=ticket.replayed,
                fault=ticket.fault.kind.value if ticket.fault else None,
            )
        )


def _params(request: Request) -> dict[str, Any]:
    content_type = request.headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0]
    if request.body and content_type != "application/x-www-form-urlencoded":
        raise ParameterError(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If "
            "you have any questions, we can help at https://support.stripe.com/."
        )
    try:
        body = request.body.decode("ascii") if request.method == "POST" else ""
    except UnicodeDecodeError:
        raise ParameterError("Invalid request: the form is not URL-encoded ASCII") from None
    return forms.decode("&".join(part for part in (request.query, body) if part))


def _check_key(authorization: str) -> None:
    """Test keys only, as a bearer token or as the user name of basic authentication."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[0]
        except ValueError:
            given = ""
    if not given:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if given.startswith(("sk_live_", "rk_live_")):
        raise unauthorized(
            "This is a sandbox, not Stripe: a live key was sent to it. Use a key like sk_test_…."
        )
    if not given.startswith(("sk_test_", "rk_test_")):
        raise unauthorized(f"Invalid API Key provided: {given[:7]}{'*' * 8}")

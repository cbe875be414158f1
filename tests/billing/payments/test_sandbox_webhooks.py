"""Events and their signed delivery."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import stripe

from billing.payments.stripe_sandbox import (
    Request,
    RunningSandbox,
    StripeSandbox,
    run_forever,
    running_sandbox,
)
from tests.billing.payments.conftest import Clock, connect

AUTH = {"authorization": "Bearer sk_test_x"}


class Receiver:
    """An endpoint without a network: it takes what `deliver` sends and answers the status it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[tuple[bytes, str]] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.received.append((body, headers["Stripe-Signature"]))
        return self.status

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _ in self.received]


@pytest.fixture
def state(clock: Clock) -> StripeSandbox:
    made = StripeSandbox(clock=clock, webhook_secret="whsec_a")
    made.webhooks.add_endpoint("http://receiver.invalid/")
    return made


def create_customers(state: StripeSandbox, count: int = 1) -> None:
    for _ in range(count):
        assert state.handle(Request("POST", "/v1/customers", headers=AUTH)).status == 200


def verify(body: bytes, header: str, secret: str) -> Any:
    # The injected clock is not the real one: the age is checked in the test with the served sandbox.
    return stripe.Webhook.construct_event(body, header, secret, tolerance=None)  # type: ignore[arg-type]


def test_deliveries_are_signed(state: StripeSandbox) -> None:
    receiver = Receiver()
    create_customers(state)
    assert state.deliver(receiver) == 1
    body, header = receiver.received[0]
    event = verify(body, header, "whsec_a")
    assert event.type == "customer.created" and event.data.object.id.startswith("cus_")
    for forged, secret in ((body, "whsec_b"), (body.replace(b"cus_", b"cux_"), "whsec_a")):
        with pytest.raises(stripe.SignatureVerificationError):
            verify(forged, header, secret)
    assert state.deliver(receiver) == 0


def test_while_a_secret_is_rolled_both_are_used(state: StripeSandbox) -> None:
    state.webhooks.add_endpoint("http://second.invalid/", secrets=["whsec_new", "whsec_old"])
    receiver = Receiver()
    create_customers(state)
    state.deliver(receiver)
    for secret in ("whsec_new", "whsec_old"):
        assert verify(*receiver.received[1], secret).type == "customer.created"


def test_what_fails_is_tried_again_later_and_later(state: StripeSandbox, clock: Clock) -> None:
    receiver = Receiver()
    receiver.status = 500
    create_customers(state)
    waits = []
    while state.webhooks.waiting:
        assert state.deliver(receiver) == 1
        if state.webhooks.waiting:
            waits.append(state.webhooks.waiting[0].due_at - clock.now)
            assert state.deliver(receiver) == 0
            clock.now += waits[-1]
    assert waits == sorted(waits) and len(set(waits)) == len(waits) >= 5
    receiver.status = 200
    create_customers(state)
    state.deliver(receiver)
    assert state.webhooks.waiting == []


def test_deliveries_held_back_lost_repeated_and_out_of_order(state: StripeSandbox) -> None:
    receiver = Receiver()
    state.webhooks.held = True
    create_customers(state, 3)
    assert state.deliver(receiver) == 0
    first, second, third = (delivery.id for delivery in state.webhooks.waiting)
    state.webhooks.drop(second)
    twin = state.webhooks.duplicate(first)
    state.webhooks.reorder([third, twin.id])
    state.webhooks.held = False
    assert state.deliver(receiver, limit=1) == 1
    assert state.deliver(receiver) == 2
    bodies = [json.loads(body)["id"] for body, _ in receiver.received]
    assert bodies[1] == bodies[2] != bodies[0]


def test_endpoints_choose_their_events(state: StripeSandbox) -> None:
    state.webhooks.endpoints.clear()
    state.webhooks.add_endpoint("http://receiver.invalid/", enabled_events=["invoice.*"])
    receiver = Receiver()
    create_customers(state)
    assert state.deliver(receiver) == 0


class _Handler(BaseHTTPRequestHandler):
    got: queue.Queue[tuple[bytes, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.put((body, self.headers["Stripe-Signature"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def listening() -> Iterator[tuple[str, queue.Queue[tuple[bytes, str]]]]:
    _Handler.got = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", _Handler.got
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_served_sandbox_delivers_by_itself(listening: tuple[str, queue.Queue[tuple[bytes, str]]]) -> None:
    url, got = listening
    with running_sandbox() as sandbox:
        endpoint = httpx.post(f"{sandbox.url}/sandbox/webhook_endpoints", json={"url": url}).json()
        assert endpoint["secret"] == sandbox.webhook_secret
        connect(sandbox.url).v1.customers.create({"name": "Acme"})
        body, header = got.get(timeout=5)
        event = stripe.Webhook.construct_event(body, header, sandbox.webhook_secret)  # type: ignore[no-untyped-call]
        assert event.type == "customer.created"


def test_the_sandbox_is_controlled_over_http(sandbox: RunningSandbox, client: stripe.StripeClient) -> None:
    control = httpx.Client(base_url=f"{sandbox.url}/sandbox/")
    before = control.get("").json()["now"]
    assert control.post("advance", json={"seconds": 60}).json()["now"] == before + 60
    fault = {"method": "GET", "route": "/v1/customers", "nth": 1, "kind": "rate_limited_429"}
    assert len(control.post("faults", json={"faults": [fault]}).json()) == 1
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    assert control.get("faults").json() == []
    assert control.get("requests").json()[-1]["status"] == 429
    endpoint = control.post("webhook_endpoints", json={"url": "http://receiver.invalid/"}).json()
    client.v1.customers.create({})
    assert len(control.get("deliveries").json()["waiting"]) == 1
    control.delete(f"webhook_endpoints/{endpoint['id']}")
    assert control.get("deliveries").json()["waiting"] == []
    assert control.post("reset").json()["customers"] == 0
    for method, path, body, status in (
        ("POST", "advance", {}, 400),
        ("POST", "webhook_endpoints", {"url": "ftp://x"}, 400),
        ("GET", "nothing", None, 404),
    ):
        assert control.request(method, path, json=body).status_code == status


def test_served_for_a_command_it_says_what_a_client_needs() -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "/sandbox" in line:
            raise KeyboardInterrupt  # as a person ends it

    run_forever(port=0, sandbox=StripeSandbox(webhook_secret="whsec_said"), say=say)
    text = "\n".join(said)
    assert "http://127.0.0.1:" in text and "sk_test_" in text and "whsec_said" in text

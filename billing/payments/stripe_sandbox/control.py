"""The sandbox's own API under /sandbox/: what a person does in Stripe's dashboard, and time and faults."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from billing.payments.stripe_sandbox.faults import Fault, FaultSchedule
from billing.payments.stripe_sandbox.sandbox import StripeSandbox
from billing.payments.stripe_sandbox.webhooks import Endpoint


def act(  # noqa: PLR0911 - one line a command reads best
    sandbox: StripeSandbox, method: str, path: str, data: dict[str, Any]
) -> Any:
    """The JSON answer; raises LookupError for an unknown address and ValueError for unusable data."""
    with sandbox.lock:
        match method, path.strip("/").split("/")[1:]:
            case "GET", []:
                return _overview(sandbox)
            case "GET", ["requests"]:
                return [asdict(entry) for entry in sandbox.log]
            case "DELETE", ["requests"]:
                sandbox.log.clear()
                return []
            case "POST", ["advance"]:
                return {"moved": sandbox.advance(int(_field(data, "seconds"))), "now": sandbox.now}
            case "POST", ["reset"]:
                sandbox.reset()
                return _overview(sandbox)
            case "GET", ["webhook_endpoints"]:
                return [_endpoint(endpoint) for endpoint in sandbox.webhooks.endpoints.values()]
            case "POST", ["webhook_endpoints"]:
                return _endpoint(_add_endpoint(sandbox, data))
            case "DELETE", ["webhook_endpoints", id]:
                sandbox.webhooks.remove_endpoint(id)
                return {"id": id, "deleted": True}
            case "GET", ["faults"]:
                return [asdict(fault) for fault in sandbox.faults.pending]
            case "POST", ["faults"]:
                sandbox.faults = FaultSchedule([Fault.from_json(fault) for fault in _field(data, "faults")])
                return [asdict(fault) for fault in sandbox.faults.pending]
            case "POST", ["bank", *rest]:
                return _bank(sandbox, rest, data)
            case _, ["deliveries", *rest]:
                return _deliveries(sandbox, method, rest, data)
    raise LookupError(f"The sandbox has no {method} {path}")


def _bank(sandbox: StripeSandbox, rest: list[str], data: dict[str, Any]) -> Any:
    """What a customer's bank does."""
    match rest:
        case ["disputes"]:
            amount = None if data.get("amount") is None else int(data["amount"])
            return sandbox.open_dispute(
                str(_field(data, "charge")), amount, str(data.get("reason", "general"))
            )
        case ["disputes", id, "close"]:
            return sandbox.close_dispute(id, str(_field(data, "status")))
        case ["refunds", id, "fail"]:
            return sandbox.fail_refund(id)
    raise LookupError("The sandbox's bank opens disputes, closes disputes/ID/close and fails refunds/ID/fail")


def _overview(sandbox: StripeSandbox) -> dict[str, Any]:
    state = sandbox.state
    return {
        "now": sandbox.now,
        "webhook_secret": sandbox.webhook_secret,
        "customers": len(state.customers.rows),
        "invoices": len(state.invoices.rows),
        "events": len(state.events.rows),
        "requests": len(sandbox.log),
        "waiting_deliveries": len(sandbox.webhooks.waiting),
    }


def _deliveries(sandbox: StripeSandbox, method: str, rest: list[str], data: dict[str, Any]) -> Any:
    webhooks = sandbox.webhooks
    match method, rest:
        case "GET", []:
            done = [delivery.as_json() for delivery in webhooks.done]
            waiting = [delivery.as_json() for delivery in webhooks.waiting]
            return {"held": webhooks.held, "waiting": waiting, "done": done}
        case "POST", ["hold" | "release" as verb]:
            webhooks.held = verb == "hold"
            sandbox.on_webhook()
            return {"held": webhooks.held}
        case "POST", ["reorder"]:
            webhooks.reorder([int(id) for id in _field(data, "ids")])
            return [delivery.as_json() for delivery in webhooks.waiting]
        case "POST", [id, "duplicate"] if id.isdigit():
            twin = webhooks.duplicate(int(id)).as_json()
            sandbox.on_webhook()
            return twin
        case "DELETE", [id] if id.isdigit():
            webhooks.drop(int(id))
            return {"id": int(id), "deleted": True}
    raise LookupError("The sandbox knows no such delivery, or no such thing to do with one")


def _add_endpoint(sandbox: StripeSandbox, data: dict[str, Any]) -> Endpoint:
    given = data.get("secrets") or ([data["secret"]] if "secret" in data else [])
    return sandbox.webhooks.add_endpoint(
        str(_field(data, "url")), secrets=given, enabled_events=data.get("enabled_events", ["*"])
    )


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "secret": endpoint.secrets[0],
        "enabled_events": list(endpoint.enabled_events),
    }


def _field(data: dict[str, Any], name: str) -> Any:
    if name not in data:
        raise ValueError(f"the field `{name}` is missing")
    return data[name]

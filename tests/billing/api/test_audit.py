"""The audit trail over HTTP: every route that changes something leaves an entry that says who and in which
request."""

from __future__ import annotations

import json

from billing.audit.verification import verify
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_auth import BODIES, WRITES, fill, two

__all__ = ["two"]  # a fixture

# What changes nothing that is agreed, billed or allowed: deliveries and visits repeat what was decided
# before, and a check finds what has happened by itself.
NOT_AUDITED = {
    "/v1/alerts/checks",
    "/v1/audit/verifications",
    "/v1/deliveries/resend",
    "/v1/deliveries/send",
    "/v1/deliveries/{delivery_id}/resend",
    "/v1/reconciliations",
    "/v1/sources/{source}/recoveries",
    "/v1/sources/{source}/visits",
    "/v1/sources/{source}/watermark",
    "/v1/webhook-endpoints/{endpoint_id}/test",
    "/v1/contract-invoices",  # nothing is due
    "DELETE /v1/operator-sessions",  # nobody is signed in
    "/v1/plans/{plan}/migrations",  # asked for what it would do
}
# What works in this world; the others are refused, as they should be.
BODY = BODIES | {
    "/v1/accounts": {"id": "new"},
    "/v1/webhook-endpoints": {"url": "https://127.0.0.1:9/hook"},
    "/v1/corrections": {
        "account": "acme",
        "task_run_ids": ["run-0000001"],
        "action": "reverse",
        "reason": "x",
    },
    "/v1/disputes": {"account": "other", "runs": ["run-0000002"], "message": "x", "raised_by": "x"},
}


PATCHES = {
    "/v1/accounts/{account_id}": {"name": "Another"},
    "/v1/accounts/{account_id}/alerts": {"mail": False},
}


def test_a_change_over_http_has_its_entry(two: Client) -> None:
    changed = set()
    for method, path in sorted(WRITES):
        key = two.key("admin")
        body = PATCHES.get(path, {"description": "x"}) if method == "PATCH" else BODY.get(path)
        answer = two.ask(method, fill(path), key=key.secret, json=body)
        made = two.get(f"/v1/audit?by=key {key.key.id}").json()
        where = f"{method} {path}: {answer.status_code}"
        assert {each["request"] for each in made} <= {answer.headers["x-request-id"]}, where
        assert bool(made) == (answer.status_code < 400 and not {path, f"{method} {path}"} & NOT_AUDITED), (
            where
        )
        changed |= {each["deed"] for each in made}
    assert len(changed) >= 20, sorted(changed)  # most did, or this would show little


def test_the_trail_is_listed_shown_verified_and_exported(two: Client) -> None:
    newest = two.get("/v1/audit?limit=1")
    (entry,) = newest.json()
    assert two.get(f"/v1/audit/{entry['number']}").json() == entry
    following = newest.headers["link"].partition("<")[2].partition(">")[0]
    assert two.get(following).json()[0]["number"] == entry["number"] - 1
    assert_problem(two.get("/v1/audit/999999"), 404)
    assert_problem(two.get("/v1/audit?cursor=x"), 422, field="cursor")
    assert_problem(two.get("/v1/audit?since=yesterday"), 422, field="since")
    done = two.post("/v1/audit/verifications", json={}).json()
    assert (done["findings"], done["entries"]) == ([], verify(two.world.engine).entries)
    again = two.post("/v1/audit/verifications", json={"seal": done["seal"]}).json()
    assert again["findings_count"] == 0
    assert_problem(two.post("/v1/audit/verifications", json={"seal": "17"}), 422, field="seal")
    lines = [json.loads(line) for line in two.get("/v1/audit/export").text.splitlines()]
    assert f"{lines[-1]['number']}:{lines[-1]['seal']}" == done["seal"]

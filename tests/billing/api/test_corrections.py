"""Corrections over HTTP: what is reversed or restored, who said so, and what it does to invoices."""

from __future__ import annotations

from typing import Any

import pytest

from billing.api.corrections import CorrectedAnswer, CorrectionAnswer
from tests.billing.api.client import Client, assert_problem
from tests.billing.api.test_documents import assert_shape
from tests.events import event, runs

URL = "/v1/corrections"


def asked(*ids: str, action: str = "reverse", **more: Any) -> dict[str, Any]:
    return {"account": "acme", "task_run_ids": list(ids), "action": action, "reason": "ticket 4711"} | more


@pytest.fixture
def acme(client: Client) -> Client:
    client.world.account()
    client.world.send(runs(4))
    return client


def test_runs_are_reversed_and_restored(acme: Client) -> None:
    said = acme.post(URL, json=asked("run-0000000", "nobody's", "run-0000001", "run-0000000", "a b"))
    assert said.status_code == 200
    assert_shape(CorrectedAnswer, said.json())
    assert said.json() == {
        "account": "acme",
        "action": "reverse",
        "corrected": 2,
        "unchanged": 1,
        "failed": 2,
        "errors": [
            {
                "index": 1,
                "field": "task_run_ids",
                "message": "account acme has no task run nobody's; check the id, or send its events first",
            },
            {
                "index": 4,
                "field": "task_run_ids",
                "message": "account acme has no task run 'a b'; check the id, or send its events first",
            },
        ],
    }
    usage = acme.get("/v1/accounts/acme/usage?month=2026-10").json()
    assert (usage["billable"], usage["not_billed"]["reversed"]) == (2, 2)
    again = acme.post(URL, json=asked("run-0000000", action="restore")).json()
    assert (again["corrected"], again["unchanged"], again["errors"]) == (1, 0, [])
    assert acme.get("/v1/accounts/acme/usage?month=2026-10").json()["billable"] == 3


def test_the_record_names_the_key_and_the_reason(acme: Client) -> None:
    for each in (asked("run-0000000", "run-0000001"), asked("run-0000000", action="restore")):
        acme.post(URL, json=each)
    found = acme.get(URL).json()
    assert_shape(CorrectionAnswer, found)
    assert [(each["task_run_id"], each["action"]) for each in found] == [
        ("run-0000000", "reverse"),
        ("run-0000001", "reverse"),
        ("run-0000000", "restore"),
    ]
    assert {each["reason"] for each in found} == {"ticket 4711"}
    assert found[0]["author"].startswith("key key_")
    assert found[0]["recorded_at"] == "2026-11-02T00:00:00Z"
    first = acme.get(f"{URL}?limit=2")
    rest = acme.get(first.headers["link"].partition(">")[0].lstrip("<"))
    assert first.json() + rest.json() == found
    assert "link" not in rest.headers
    assert acme.get(f"{URL}?run=run-0000001&account=acme&month=2026-11").json() == found[1:2]
    assert acme.get(f"{URL}?month=2026-10").json() == []
    assert acme.get(URL, key=acme.key("read", "globex").secret).json() == []
    assert acme.get(f"{URL}?account=acme", key=acme.key("read", "globex").secret).json() == []
    assert acme.get(URL, key=acme.key("read", "acme").secret).json() == found


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (asked(), 422, "task_run_ids"),
        (asked("r", action="undo"), 422, "action"),
        (asked("r", reason=" "), 422, "reason"),
        (asked("r", reason="x" * 201), 422, "reason"),
        (asked("r", account="nobody"), 404, None),
        (asked("r", account="a b"), 422, "account"),
        (asked("r", colour="red"), 422, "colour"),
    ],
)
def test_what_is_wrong_is_named(acme: Client, body: dict[str, Any], status: int, field: str | None) -> None:
    assert_problem(acme.post(URL, json=body), status, field=field)
    assert acme.get(URL).json() == []


@pytest.mark.parametrize("cursor", ["x", "1", "-1-2", "1-x", "٣-1", "9" * 30 + "-1"])
def test_a_cursor_that_is_none(lite: Client, cursor: str) -> None:
    assert_problem(lite.get(f"{URL}?cursor={cursor}"), 422, field="cursor")


def test_an_account_that_billing_does_not_know_is_corrected_too(acme: Client) -> None:
    acme.world.send([event(account="ghost")])
    assert acme.post(URL, json=asked("run-1", account="ghost")).json()["corrected"] == 1


def test_the_same_request_corrects_once(acme: Client) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = acme.post(URL, json=asked("run-0000000"), headers=key)
    acme.post(URL, json=asked("run-0000000", action="restore"))
    again = acme.post(URL, json=asked("run-0000000"), headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert acme.get("/v1/accounts/acme/usage?month=2026-10").json()["billable"] == 4


def test_the_next_invoice_adjusts(acme: Client) -> None:
    """Half the free runs and a few more: the reversed ones are the dearest."""
    acme.world.send(runs(20_000, prefix="more", day="2026-10-05"))
    made = acme.post("/v1/billing-runs", json={"month": "2026-10"}).json()["invoices"][0]
    assert made["total"] == 2501
    ids = [each.task_run_id for each in runs(4000, prefix="more")]
    assert acme.post(URL, json=asked(*ids)).json()["corrected"] == 4000
    assert acme.get(f"/v1/invoices/{made['id']}/verify").json()["ok"]
    acme.world.instant += 31 * 86_400_000_000
    credited = acme.post("/v1/billing-runs", json={"month": "2026-11"}).json()["invoices"][0]
    lines = acme.get(f"/v1/invoices/{credited['id']}").json()["lines"]
    assert [(line["kind"], line["quantity"], line["amount"]) for line in lines] == [
        ("adjustment", -4000, -1000),
        ("carried", 1, 1000),
    ]
    acme.post(URL, json=asked(*ids[:2000], action="restore"))
    for each in (made, credited):
        assert acme.get(f"/v1/invoices/{each['id']}/verify").json()["ok"]
    acme.world.instant += 31 * 86_400_000_000
    billed = acme.post("/v1/billing-runs", json={"month": "2026-12"}).json()["invoices"][0]
    lines = acme.get(f"/v1/invoices/{billed['id']}").json()["lines"]
    assert [(line["kind"], line["quantity"], line["amount"]) for line in lines] == [
        ("adjustment", 2000, 500),
        ("credit", 1, -500),
    ]

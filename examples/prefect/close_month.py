"""A month's closing as a Prefect flow: collect, check, reconcile, bill, report. It calls the service by HTTP.

    BILLING_URL=http://127.0.0.1:8000 BILLING_KEY=bk_admin_… python close_month.py

serves it on the second of each month, for the month before (README.md). Every step may be repeated: what is
done stays done. So those that wait for others are retried, and a step that finds a difference fails at once.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

# A month of many accounts is billed in one answer.
TIMEOUT_SECONDS = 900
# Differences that stop nothing: somebody is to be asked whose they are.
LEFT_TO_THE_REPORT = ("unassigned account",)
REASONS = ("too_short", "cached", "failed", "crashed", "cancelled", "reversed")


class NotYet(Exception):  # noqa: N818 - reads as what happened
    """A source is not read, or not complete, to the month's end; later it may be."""


class Differs(Exception):  # noqa: N818 - reads as what happened
    """What ran, was metered, was invoiced and is at Stripe is not the same: a person must look."""


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The service does not do it, however often it is asked."""


def ask(method: str, path: str, **more: Any) -> httpx.Response:
    """The service's answer. Raises Refused with its reason, and httpx.HTTPError where it is away or busy."""
    url, key = os.environ["BILLING_URL"].rstrip("/"), os.environ["BILLING_KEY"]
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.request(method, url + path, headers=headers, timeout=TIMEOUT_SECONDS, **more)
    if 400 <= answer.status_code < 500 and answer.status_code != 429:
        raise Refused(f"{method} {path}: {answer.json().get('detail', answer.text)}")
    return answer.raise_for_status()


def pages(path: str, **params: str) -> list[dict[str, Any]]:
    """All of a list."""
    answer = ask("GET", path, params={"limit": "200", **params})
    found: list[dict[str, Any]] = answer.json()
    while "next" in answer.links:
        link = httpx.URL(answer.links["next"]["url"])
        answer = ask("GET", link.raw_path.decode())
        found += answer.json()
    return found


def not_refused(_task: Any, _run: Any, state: Any) -> bool:
    """Whether another attempt may help."""
    return not isinstance(state.result(raise_on_failure=False), Refused | Differs)


def month_end(month: str) -> str:
    year, number = map(int, month.split("-"))
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}-01T00:00:00Z"


def last_month(now: datetime) -> str:
    return f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"


def is_complete(source: dict[str, Any], end: str) -> bool:
    """RFC 3339 in UTC sorts as text."""
    return source["since"] >= end or (source["complete_to"] or "") >= end


@task(retries=10, retry_delay_seconds=60, retry_condition_fn=not_refused)
def collect(month: str) -> int:
    """Ask each source that the service collects from, until all is read; how many task runs were new."""
    new, waiting = 0, []
    for source in pages("/v1/sources"):
        if source["kind"] != "prefect" or is_complete(source, month_end(month)):
            continue
        path = f"/v1/sources/{source['source']}/visits"
        visit = ask("POST", path, params={"account": source["account"]}).json()
        new += visit["accepted"] + visit["recovered"]
        if visit["error"] or not visit["finished"]:
            waiting.append(f"{source['source']} of {source['account']}: {visit['error'] or 'goes on'}")
    if waiting:
        raise NotYet("; ".join(waiting))
    return new


@task(retries=10, retry_delay_seconds=60, retry_condition_fn=not_refused)
def check_complete(month: str) -> None:
    """Every source says that it is complete to the month's end, those that declare it themselves as well."""
    end = month_end(month)
    waiting = [
        f"{each['source']} of {each['account']} is complete to {each['complete_to'] or 'nothing yet'}"
        for each in pages("/v1/sources")
        if not is_complete(each, end)
    ]
    if waiting:
        raise NotYet(f"not complete to {end}: {'; '.join(waiting)}")


@task(retries=3, retry_delay_seconds=30, retry_condition_fn=not_refused)
def reconcile(month: str, between: tuple[str, ...]) -> int:
    """Compare the month, and fail with every difference; how many task runs of the sources were compared."""
    collected = any(each["kind"] == "prefect" for each in pages("/v1/sources"))
    found = ask("POST", "/v1/reconciliations", json={"month": month, "source": collected}).json()
    told = [
        each
        for each in found["differences"]
        if each["between"] in between and each["cause"] not in LEFT_TO_THE_REPORT
    ]
    if told:
        raise Differs("\n".join(f"{each['account']}, {each['between']}: {each['message']}" for each in told))
    return int(found["compared"]["source_runs"] or 0)


@task(retries=3, retry_delay_seconds=60, retry_condition_fn=not_refused)
def bill(month: str, drafts: bool, bill_incomplete: bool) -> dict[str, Any]:
    """The billing run. Cut short and started again, it goes on with the cutoff it began with."""
    wanted = {"month": month, "early": drafts, "bill_incomplete": bill_incomplete}
    run: dict[str, Any] = ask("POST", "/v1/billing-runs", json=wanted).json()
    return run


@task(retries=3, retry_delay_seconds=30, retry_condition_fn=not_refused)
def report(month: str, run: dict[str, Any]) -> dict[str, Any]:
    """What was billed, what was not and why, and who waits; also as an artifact of the flow run."""
    kept = ("account", "number", "status", "currency", "billable", "not_billed", "total")
    invoices = []
    for each in run["invoices"]:
        shown = ask("GET", f"/v1/invoices/{each['id']}").json()
        invoices.append({name: shown[name] for name in kept})
    told = {"month": month, "invoices": invoices}
    told |= {name: run[name] for name in ("failed", "unassigned", "incomplete")}
    create_markdown_artifact(markdown_of(told), key=f"closing-{month}", description=f"Billing of {month}")
    return told


def markdown_of(told: dict[str, Any]) -> str:
    """Amounts in minor units, as the service has them."""
    head = ("account", "invoice", "status", "billable", *REASONS, "total (minor units)")
    rows = [head, ("---",) * len(head)]
    for each in told["invoices"]:
        reasons = [each["not_billed"][name] for name in REASONS]
        total = f"{each['total']:,} {each['currency']}"
        rows.append(
            (each["account"], each["number"] or "draft", each["status"], each["billable"], *reasons, total)
        )
    lines = [f"# {told['month']}", "", *("| " + " | ".join(map(str, row)) + " |" for row in rows)]
    for each in told["unassigned"]:
        lines += [
            "",
            f"**Unassigned:** {each['account']} has {each['billable']:,} billable task runs, no account.",
        ]
    for each in told["incomplete"]:
        known = each["complete_to"] or "nothing yet"
        lines += ["", f"**Incomplete:** {each['source']} of {each['account']}, complete to {known}."]
    for each in told["failed"]:
        lines += ["", f"**Failed:** {each['account']}: {each['message']}"]
    return "\n".join(lines)


@flow(name="close-month")
def close_month(
    month: str | None = None, drafts: bool = False, bill_incomplete: bool = False
) -> dict[str, Any]:
    """Close a month (`YYYY-MM`; by default the one before the scheduled time). `drafts`: bill it as drafts,
    to be read and approved. `bill_incomplete`: also accounts of which a source is not complete."""
    month = month or last_month(flow_run.scheduled_start_time or datetime.now(UTC))
    collect(month)
    if not bill_incomplete:
        check_complete(month)
    reconcile(month, ("source-meter",))
    run = bill(month, drafts, bill_incomplete)
    told = report(month, run)
    if run["failed"]:
        raise Differs(f"not billed: {'; '.join(each['account'] for each in run['failed'])}")
    if not drafts:
        reconcile(month, ("meter-invoice", "invoice-stripe"))
    return told


if __name__ == "__main__":
    # The month and its day of grace are over.
    close_month.serve(name="monthly", cron="0 6 2 * *")

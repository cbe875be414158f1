"""What the demo shows, in what order, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from billing.cli.output import note, progress
from billing.demo import agreed
from billing.demo.month import CAPTURE_ACCOUNT, DemoMonth, demo_month
from billing.demo.screen import Screen, name_of
from billing.invoices import invoice_data, invoice_summary, list_invoices, preview
from billing.pricing.money import format_amount
from billing.reconciliation.operation import reconcile
from billing.reporting.proof import invoice_run_list, verify
from billing.repository.invoices import Invoice
from billing.revenue.operation import revenue_report
from billing.run_report import RunReport
from billing.summary import account_summary
from metering.clock import now_instant
from metering.ingestion import IngestReport
from metering.period import SECOND_US
from metering.usage import Counts, usage_data

# Whose invoice is shown in full, and is paid: the one that crosses a bracket.
PAYING_ACCOUNT = "northwind-analytics"
# Who pays, and the webhook is lost.
UNNOTICED_ACCOUNT = "brightwater-labs"


def tell(folder: Path, *, quiet: bool = False) -> dict[str, object]:
    """Run the demo in `folder` and show it, unless `quiet`; answers its figures. Raises Refused."""
    began = now_instant()
    screen = Screen(quiet=quiet)
    with demo_month(folder) as demo:
        if demo.workspace.rebuilt:
            note(f"{folder} is made anew.")
        screen.opening()
        demo.add_accounts()
        demo.agree()
        figures: dict[str, object] = {"folder": str(folder), "database": demo.workspace.database_url}
        figures["capture"] = _capture(demo, screen)
        figures["month"] = _month(demo, screen)
        report = _billing_run(demo, screen)
        figures["run"] = report.to_data()
        mine = next(each for each in report.invoices if each.account == PAYING_ACCOUNT)
        figures["invoice"] = _one_invoice(demo, screen, mine)
        figures["paid"] = _payment(demo, screen, mine)
        figures["verify"] = _proof(demo, screen, mine)
        figures["agreed"] = _agreed(demo, screen, report)
        figures["late"] = _late(demo, screen)
        unnoticed = next(each for each in report.invoices if each.account == UNNOTICED_ACCOUNT)
        figures["reconciled"] = _reconciled(demo, screen, unnoticed)
        figures["revenue"] = _revenue(demo, screen)
        figures["so_far"] = _so_far(demo, screen)
        figures["link"] = demo.link(PAYING_ACCOUNT)
        screen.further(demo.workspace, demo.month, mine.number or mine.id, demo.link(PAYING_ACCOUNT))
    note(f"All of this took {(now_instant() - began) / SECOND_US:.1f} s.")
    return figures


def _capture(demo: DemoMonth, screen: Screen) -> dict[str, object]:
    month = demo.capture_month
    screen.section(
        f"1  A real capture, {month}",
        "Every event that a Prefect 3.9.1 server emitted while a set of flows ran: completions on both",
        "sides of one second, cached results, retries, crashes, a rolled-back transaction.",
    )
    with progress("metering the capture", unit="bytes") as show:
        report = demo.ingest(demo.write_capture(), show, CAPTURE_ACCOUNT)
    screen.ingested({"Prefect's events": report})
    store = demo.service.store
    usage = store.usage(CAPTURE_ACCOUNT, month.start, month.end, by="month")
    screen.usage({CAPTURE_ACCOUNT: usage.counts})
    document = preview(demo.service.engine, store, CAPTURE_ACCOUNT, month)
    screen.text(f"Its invoice for {month}, if the month ended now (plan {document['plan']}):")
    screen.lines(document)
    return {"ingest": report.to_data(), "usage": usage_data(usage), "preview": document}


def _month(demo: DemoMonth, screen: Screen) -> dict[str, object]:
    month = demo.month
    with progress(f"making {month}") as show:
        path = demo.write_month(show)
    with progress(f"metering {month}", unit="bytes") as show:
        report = demo.ingest(path, show)
    counts = demo.service.store.counts_by_account(month.start, month.end)
    screen.section(
        f"2  The month before, {month}",
        "Six customers' task runs, synthetic and the same every time. Some events come twice, some runs",
        "fail and are started again: a run counts once, whatever arrives, however often.",
    )
    screen.ingested({path.name: report})
    screen.usage(dict(sorted(counts.items(), key=lambda each: -each[1].total)))
    _check(demo, counts, report)
    return {
        "ingest": report.to_data(),
        "accounts": {
            account: {"billable": each.billable, "not_billed": each.not_billed}
            for account, each in counts.items()
        },
    }


def _check(demo: DemoMonth, counts: Mapping[str, Counts], report: IngestReport) -> None:
    """The generator counted too, as it made the runs."""
    made = {
        account: {name: runs.get(name, 0) for name in ("billable", *Counts().not_billed)}
        for account, runs in demo.truth.runs.items()
    }
    held = {account: {"billable": each.billable, **each.not_billed} for account, each in counts.items()}
    assert made == held, "the meter disagrees with the generator"
    assert report.duplicate == demo.truth.duplicate, "the meter missed a duplicate"


def _billing_run(demo: DemoMonth, screen: Screen) -> RunReport:
    month = demo.month
    with progress(f"billing {month}") as billing, progress(f"sending {month}") as sending:
        report = demo.service.run_month(month, progress=billing, sending=sending)
    assert not report.failed, report.failed
    screen.section(
        f"3  The billing run of {month}",
        "Each account is billed once, as of one cutoff, and its invoice goes through Stripe's API: here a",
        "stand-in that comes with the product. An invoice of 0.00 is paid as it is, and not sent.",
    )
    screen.invoices(list(report.invoices))
    screen.text(f"{report.finalized} invoices finalized, {report.sent} sent, {len(report.failed)} failed.")
    for account, billable in report.unassigned:
        screen.text(
            f"Unassigned: {account} has {billable:,} billable runs, but no account. They wait for it:",
            f"  billing accounts add {account} --billing-from {month}, then run the month again.",
        )
    return report


def _one_invoice(demo: DemoMonth, screen: Screen, mine: Invoice) -> dict[str, object]:
    data = invoice_data(demo.service.engine, mine, demo.service.now())
    screen.section(f"4  One invoice in full: {mine.number}, {name_of(mine.account)}")
    screen.lines(data)
    all_runs = demo.if_every_run_counted(mine)
    not_billed = sum(mine.not_billed.values())
    saved = format_amount(all_runs.total - mine.total, mine.currency)
    total = format_amount(all_runs.total, mine.currency)
    screen.text(
        f"Not billed: {not_billed:,} runs. Had every run counted, it would have been {total}: {saved} more."
    )
    return data


def _payment(demo: DemoMonth, screen: Screen, mine: Invoice) -> dict[str, object]:
    delivered = demo.pay(mine)
    invoices = list_invoices(demo.service.engine, month=demo.month)
    screen.section(
        "5  Paid",
        f"{name_of(mine.account)} adds a card (4242 4242 4242 4242) at Stripe and pays. Stripe tells us by",
        f"signed webhooks ({delivered} came): the signature is checked, then the invoice is fetched.",
    )
    screen.statuses(invoices)
    return {
        "account": mine.account,
        "webhooks": delivered,
        "invoices": [invoice_summary(each) for each in invoices],
    }


def _proof(demo: DemoMonth, screen: Screen, mine: Invoice) -> dict[str, Any]:
    engine, store = demo.service.engine, demo.service.store
    result = verify(engine, store, mine.id)
    outcome = "every figure is the same" if result.ok else "it differs"
    listed = sum(1 for _ in invoice_run_list(engine, store, mine.id)) - 1
    screen.section(
        "6  Proved",
        f"{mine.number} was computed again from its events as of its cutoff: {outcome}.",
        f"The customer can count too: its run list names {listed:,} runs, and the invoice its SHA-256:",
        mine.run_list_sha256 or "",
    )
    assert result.ok, result.differences
    assert listed == mine.billable
    return result.to_data()


def _agreed(demo: DemoMonth, screen: Screen, run: RunReport) -> dict[str, object]:
    """What a contract and a program did to the month's invoices."""
    engine = demo.service.engine
    invoices = {each.account: invoice_data(engine, each, demo.service.now()) for each in run.invoices}
    ours, theirs = invoices[agreed.UNDER_CONTRACT], invoices[agreed.IN_PROGRAM]
    instalment = demo.invoice_contract()
    report, page = demo.contract_page()
    screen.section(
        "7  Agreed",
        f"{name_of(agreed.UNDER_CONTRACT)} bought {agreed.COMMITTED_RUNS:,} runs for a year. They were drawn "
        "day by day and ran",
        "out. What came after is on demand, by the plan's whole schedule, its free runs included:",
    )
    screen.lines(ours)
    screen.text(
        f"{report.used:,} runs were drawn, {report.remaining:,} are left; {page} shows the customer how.",
        "What is due of the contract is invoiced apart:",
    )
    screen.lines(invoice_data(engine, instalment, demo.service.now()))
    screen.text(f"{name_of(agreed.IN_PROGRAM)} is in the program {agreed.PROGRAM}, {agreed.PERCENT} % off:")
    screen.lines(theirs)
    return {
        "contract": report.to_data(),
        "contract_invoice": invoice_data(engine, instalment, demo.service.now()),
        "on_demand": ours,
        "program": theirs,
    }


def _late(demo: DemoMonth, screen: Screen) -> dict[str, object]:
    """Events that come after their month was invoiced: nothing is edited, the next invoice adjusts."""
    with progress("metering late events", unit="bytes") as show:
        report = demo.ingest(demo.write_late_events(), show)
    following = demo.month.next()
    document = preview(demo.service.engine, demo.service.store, agreed.LATE, following)
    screen.section(
        "8  Late",
        f"{report.accepted:,} task runs of {name_of(agreed.LATE)} arrive after the invoice, which stays",
        f"as it is. The invoice for {following} will bill the difference, and would come to this now:",
    )
    screen.lines(document)
    return {"ingest": report.to_data(), "preview": document}


def _reconciled(demo: DemoMonth, screen: Screen, unnoticed: Invoice) -> dict[str, object]:
    """The month compared three ways, after a webhook was lost."""
    demo.pay_unnoticed(unnoticed)
    before = reconcile(demo.service, demo.month)
    screen.section(
        f"9  Reconciled: billing reconcile {demo.month}",
        f"{name_of(unnoticed.account)} paid as well, but the webhook was lost. What was metered, what was "
        "invoiced",
        "and what Stripe has are compared, and nothing is missed:",
    )
    screen.differences(before)
    after = reconcile(demo.service, demo.month, fix=True)
    screen.text(
        f"With --fix what is safe to mend is mended: {len(after.fixed)} of them. What is left waits for a",
        "person, or for the next invoice.",
    )
    return {"before": before.to_data(), "after": after.to_data()}


def _revenue(demo: DemoMonth, screen: Screen) -> dict[str, object]:
    """What finance takes to its books."""
    report = revenue_report(demo.service, demo.month)
    assert report.ok, report.ties
    data = report.to_data()
    screen.section(
        f"10  In the books: billing report revenue {demo.month}",
        "What the month earned, whenever it is invoiced; what is paid for and still owed to customers; and",
        "what billing success alone gave away:",
    )
    for each in data["currencies"]:
        screen.revenue(each)
    (ties,) = report.ties.values()
    screen.text(
        f"Each of {len(ties)} figures was added up from the documents and from the entries of the journal",
        f"(billing export journal --month {demo.month}), and is the same to the cent.",
    )
    return data


def _so_far(demo: DemoMonth, screen: Screen) -> dict[str, object]:
    """The month that is not over, as the customer's first page has it."""
    month = demo.month.next()
    with progress(f"metering {month} so far", unit="bytes") as show:
        demo.ingest(demo.write_so_far(PAYING_ACCOUNT), show)
    found = account_summary(demo.service, PAYING_ACCOUNT)
    ends = found.outlook
    assert ends is not None and ends.expected is not None and ends.low is not None and ends.high is not None
    screen.section(
        f"11  {month} so far",
        f"{name_of(PAYING_ACCOUNT)} has run {found.counts.billable:,} billable task runs this month, and "
        f"{found.counts.total - found.counts.billable:,} that cost",
        f"nothing: {found.money(ends.document.total)} so far. By the end of the month it will be "
        f"{found.money(ends.expected.total)}; four times of",
        f"five between {found.money(ends.low.total)} and {found.money(ends.high.total)}. Its page, at the "
        "end, shows it.",
    )
    return found.to_data()

"""What the demo does, without a word about it: each step drives the same functions as the other doors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from billing.accounts import add_account, show_account
from billing.app import Service, make_service
from billing.contract_invoices import invoice_contracts, report_contract
from billing.contracts import load_contract_text
from billing.demo import agreed, synthetic
from billing.demo.customer import CustomerAtStripe
from billing.demo.workspace import Workspace
from billing.invoices import show_invoice
from billing.links import create_link
from billing.payments import webhooks
from billing.payments.stripe_sandbox import RunningSandbox, StripeSandbox, running_sandbox
from billing.plans import show_plan
from billing.pricing.days import first_day
from billing.pricing.invoice import Basis, Document, compose
from billing.programs import apply_program
from billing.reporting.contract_page import contract_page
from billing.reporting.contract_report import ContractReport
from billing.repository.invoices import Invoice
from metering import clock
from metering.ingestion import IngestReport
from metering.outcome import Outcome
from metering.period import HOUR_US, SECOND_US, Month, day_of
from metering.settings import Settings
from metering.sources import Admission, decode
from metering.streams import ingest_stream
from metering.usage import Counts

CAPTURE_ACCOUNT = "prefect-lab"
_FAR_AHEAD = Month(9998, 12).end

Progress = Callable[[int, int | None], None]


def capture_bytes() -> bytes:
    """Every event that a Prefect server emitted while some flows ran."""
    return (files("metering") / "sources" / "samples" / "prefect-events.ndjson").read_bytes()


def moment_after(capture: bytes) -> int:
    """The demo's time: the hour after the last task run of the capture, so that every run gives the same."""
    admission = Admission(now=_FAR_AHEAD, default_account=CAPTURE_ACCOUNT)
    events = decode(capture, format="prefect", framing="ndjson", admission=admission).events
    last = max(event.ended_at for event in events)
    return last - last % HOUR_US + HOUR_US


@dataclass
class DemoMonth:
    """A service on the demo's database, the sandbox it sends to, and the two months it is about."""

    service: Service
    sandbox: RunningSandbox
    workspace: Workspace
    capture: bytes
    capture_month: Month
    month: Month
    truth: synthetic.Truth = field(default_factory=synthetic.Truth)

    def add_accounts(self) -> None:
        self._add(CAPTURE_ACCOUNT, "Prefect Lab", "", "starter", self.capture_month)
        for each in synthetic.CUSTOMERS:
            if each.plan is not None:
                self._add(each.account, each.name, each.email, each.plan, self.month)

    def agree(self) -> None:
        """A contract with one customer, a program for another."""
        engine, now = self.service.engine, self.service.now()
        load_contract_text(engine, agreed.contract_file(self.month), "contract.json", by="demo", now=now)
        apply_program(
            engine,
            agreed.IN_PROGRAM,
            agreed.PROGRAM,
            percent=agreed.PERCENT,
            starts_on=first_day(self.month),
            until=agreed.year_later(self.month),
            by="demo",
            now=now,
        )

    def invoice_contract(self) -> Invoice:
        """What is due of the contract, issued and sent."""
        (invoice,) = invoice_contracts(
            self.service.engine, day_of(self.service.now()), now=self.service.now()
        )
        self.service.send_due()
        return show_invoice(self.service.engine, invoice.id)

    def contract_page(self) -> tuple[ContractReport, Path]:
        """The contract's report as of the end of the month, and its page for the customer."""
        report, customer = report_contract(
            self.service.engine, self.service.store, agreed.CONTRACT, self.month.last_day
        )
        path = self.workspace.folder / f"{agreed.CONTRACT}.html"
        path.write_text(contract_page(report, customer), "utf-8")
        return report, path

    def link(self, account: str) -> str:
        """The way to a customer's pages, where `billing serve` serves them on its usual port. It is looked at
        in our time, not the demo's."""
        made = create_link(self.service.engine, account, now=clock.now_instant())
        return made.url(self.service.settings.public_url)

    def write_late_events(self) -> Path:
        """What arrives after the month was invoiced, as a file."""
        return self.workspace.write_events(f"{self.month}-late", agreed.late_events(self.month))

    def write_so_far(self, account: str) -> Path:
        """What a customer ran in the month that is not over, as a file."""
        truth = synthetic.Truth()
        pieces = synthetic.write_days(self.month.next(), self.service.now(), account, truth)
        return self.workspace.write_events(f"{self.month.next()}-so-far", pieces)

    def _add(self, account: str, name: str, email: str, plan: str, since: Month) -> None:
        add_account(
            self.service.engine,
            account,
            now=self.service.now(),
            currency="USD",
            plan=plan,
            billing_from=since,
            name=name,
            email=email,
        )

    def write_capture(self) -> Path:
        """The capture as a file of the folder, for who wants to look into it or to ingest it again."""
        return self.workspace.write_events("prefect-capture", [self.capture])

    def write_month(self, progress: Progress) -> Path:
        """The synthetic month as a file."""
        return self.workspace.write_events(str(self.month), self._pieces(progress))

    def _pieces(self, progress: Progress) -> Iterator[bytes]:
        total = sum(each.runs for each in synthetic.CUSTOMERS)
        for piece in synthetic.write_month(self.month, self.truth):
            progress(min(self.truth.events, total), total)
            yield piece

    def ingest(self, path: Path, progress: Progress, account: str | None = None) -> IngestReport:
        report = IngestReport()
        size = path.stat().st_size
        with path.open("rb") as source:
            ingest_stream(
                self.service.store,
                source,
                report,
                clock=self.service.now,
                account=account,
                progress=lambda done: progress(done, size),
            )
        return report

    def if_every_run_counted(self, invoice: Invoice) -> Document:
        """What the account would have paid if failures, cached results and the like were billed too."""
        counts = Counts({Outcome.BILLABLE: invoice.billable + sum(invoice.not_billed.values())})
        version = show_plan(self.service.engine, invoice.plan, invoice.month)
        return compose(Basis(invoice.account, invoice.month, invoice.currency, counts, version))

    def pay(self, invoice: Invoice) -> int:
        """The customer adds a card and pays at Stripe, which tells us; answers how many webhooks came."""
        self.sandbox.state.webhooks.add_endpoint("http://127.0.0.1/v1/stripe/webhook")
        self._pay_at_stripe(invoice)
        delivered = self.sandbox.state.deliver(self._receive)
        assert show_invoice(self.service.engine, invoice.id).status == "paid"
        return delivered

    def pay_unnoticed(self, invoice: Invoice) -> None:
        """The same, and the webhooks that tell us are lost."""
        self._pay_at_stripe(invoice)
        for lost in list(self.sandbox.state.webhooks.waiting):
            self.sandbox.state.webhooks.drop(lost.id)
        assert show_invoice(self.service.engine, invoice.id).status == "open"

    def _pay_at_stripe(self, invoice: Invoice) -> None:
        assert invoice.stripe_invoice_id is not None
        customer = show_account(self.service.engine, invoice.account).stripe_customer_id
        assert customer is not None
        with CustomerAtStripe(self.sandbox) as acting:
            acting.add_card(customer)
            acting.pay(invoice.stripe_invoice_id)

    def _receive(self, _url: str, body: bytes, headers: dict[str, str]) -> int:
        """As the HTTP interface does: the signature is checked, and what changed is fetched."""
        gateway = self.service.gateway
        assert gateway is not None
        webhooks.receive(
            self.service.engine,
            gateway,
            body,
            headers["Stripe-Signature"],
            [self.sandbox.webhook_secret],
            self.service.now(),
        )
        return 200


class _Given(Settings):
    """Settings that are what they are given: what is configured on this machine is not the demo's."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@contextmanager
def demo_month(folder: Path) -> Iterator[DemoMonth]:
    """A fresh database in `folder` and a sandbox beside it, both at the demo's own time. Raises Refused."""
    workspace = Workspace(folder)
    capture = capture_bytes()
    now = moment_after(capture)
    capture_month = Month.of(now - 1)
    sandbox = StripeSandbox(clock=lambda: now // SECOND_US, seed="billing demo")
    _stay_on_loopback()
    with running_sandbox(sandbox, deliver_webhooks=False) as running:
        service = make_service(_settings(workspace, running), now=lambda: now)
        try:
            service.init()
            yield DemoMonth(service, running, workspace, capture, capture_month, capture_month.previous())
        finally:
            service.store.close()


def _settings(workspace: Workspace, running: RunningSandbox) -> Settings:
    return _Given.model_validate(
        {
            "database_url": workspace.database_url,
            "stripe_api_key": running.api_key,
            "stripe_api_base": running.url,
            "stripe_webhook_secret": running.webhook_secret,
        }
    )


def _stay_on_loopback() -> None:
    """A proxy that is configured on this machine has no business between two ends of one process."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))

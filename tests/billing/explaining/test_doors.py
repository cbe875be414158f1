"""An account with everything, explained through every door: the same answer at each, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from billing.contract_invoices import invoice_contracts
from billing.contracts import add_contract, add_grant
from billing.credits import add_credit
from billing.explaining.change import Driver
from billing.explaining.operation import explain_invoice, explain_preview
from billing.invoices import list_invoices
from billing.links import create_link
from billing.plans import load_plan_text
from billing.pricing.contract import Contract, Grant, Instalments, Service
from billing.pricing.line import LineKind
from billing.programs import apply_program
from billing.repository.invoices import Invoice
from metering.period import DAY_US, Month
from tests import recomputed
from tests.billing.api.client import Client, assert_problem, running
from tests.billing.cli.conftest import Cli
from tests.billing.months import void
from tests.conftest import NewDatabase
from tests.events import event, runs
from tests.world import OCTOBER, World

SEPTEMBER, NOVEMBER, DECEMBER = OCTOBER.previous(), OCTOBER.next(), OCTOBER.next().next()
TINY = """{"plan": "tiny", "version": "1", "effective_from": "2021-01-01", "currency": "USD", "brackets": [
    {"up_to": 10, "unit_price": "0"}, {"up_to": 60, "unit_price": "0.0333"},
    {"up_to": null, "unit_price": "0.0125"}]}"""


class Story:
    """September is monthly. October on is under contract, which is amended once October is invoiced; late
    runs come for September and October; a program, and credit."""

    def __init__(self, world: World) -> None:
        self.world = world
        engine = world.engine
        load_plan_text(engine, TINY, "tiny.json", world.instant)
        for account in ("acme", "other"):
            world.account(account, plan="tiny", since="2026-09")
        world.send(runs(40, day="2026-09-03"), runs(3, account="other"))
        contract = Contract(
            "acme-c",
            "acme",
            date(2026, 10, 1),
            date(2027, 4, 1),
            "tiny@1",
            "USD",
            Instalments.QUARTERLY,
            (Grant("g1", 60, 1001, date(2026, 10, 1), date(2027, 4, 1)),),
            (Service("Onboarding", 2500, date(2026, 10, 1)),),
        )
        add_contract(engine, contract, by="test", now=world.instant)
        self.bill(SEPTEMBER)
        apply_program(
            engine,
            "acme",
            "academia",
            percent="25",
            until=date(2027, 6, 1),
            starts_on=date(2026, 9, 1),
            by="test",
            now=world.instant,
            amend=True,
        )
        world.send(runs(6, day="2026-09-04", prefix="late"))
        world.send(
            [
                event(
                    f"oct-{n}", end=f"2026-10-{n % 20 + 1:02d}T10:00:00Z", flow=f"f{n % 3}", workspace="prod"
                )
                for n in range(150)
            ]
        )
        add_credit(engine, "acme", "0.20", "an outage", by="test", now=world.instant)
        self.october = self.bill(OCTOBER)
        (self.contract,) = invoice_contracts(engine, date(2026, 11, 3), now=world.instant)
        # The amendment reaches into October; so do late runs, and one that is taken back.
        add_grant(
            engine,
            "acme-c",
            5,
            "1.00",
            date(2026, 10, 20),
            by="test",
            now=world.instant,
            amend=True,
            reason="x",
        )
        world.send(runs(2, day="2026-10-02", prefix="late-oct"), [event("oct-0", state="ROLLED_BACK")])
        world.send(runs(30, day="2026-11-04", prefix="nov"))
        self.november = self.bill(NOVEMBER)
        world.send(runs(4, day="2026-12-01", prefix="dec"))

    def bill(self, month: Month) -> Invoice:
        self.world.instant = max(self.world.instant, month.end + 2 * DAY_US)
        report = self.world.service.run_month(month)
        assert not report.failed, report.failed
        found = list_invoices(self.world.engine, account="acme", month=month)
        return next(each for each in found if each.kind == "usage" and each.status != "void")

    def explained(self, invoice: Invoice, **more: Any) -> dict[str, Any]:
        return explain_invoice(self.world.engine, self.world.store, invoice.id, **more).to_data()


@pytest.fixture(scope="module")
def story(sqlite_databases: NewDatabase) -> Story:
    return Story(World(sqlite_databases()))


@pytest.fixture(scope="module")
def client(story: Story) -> Iterator[Client]:
    with running(story.world) as client:
        yield client


def kinds(data: dict[str, Any]) -> list[str]:
    return [line["kind"] for line in data["lines"]]


def test_everything_is_explained_to_the_cent(story: Story) -> None:
    for invoice in list_invoices(story.world.engine):
        recomputed.check(story.explained(invoice))
    # Also of months that are invoiced: as if they were not.
    for month in (SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER):
        recomputed.check(explain_preview(story.world.engine, story.world.store, "acme", month).to_data())
    seen = {kind for invoice in list_invoices(story.world.engine) for kind in kinds(story.explained(invoice))}
    assert seen >= {
        LineKind.USAGE,
        LineKind.ON_DEMAND,
        LineKind.PROGRAM_DISCOUNT,
        LineKind.ADJUSTMENT,
        LineKind.CREDIT,
        LineKind.INSTALMENT,
        LineKind.SERVICE,
    }


def test_an_amended_contract_and_late_runs(story: Story) -> None:
    """October as it was invoiced, though the contract has more runs since, and there are other task runs."""
    october = story.explained(story.october)
    assert october["contract"]["drawn"] == 60 and october["rated"] == 90
    assert [grant["grant"] for grant in october["contract"]["grants"]] == ["g1"]
    assert sum(day["billable"] for day in october["contract"]["days"]) == october["billable"] == 150
    assert kinds(october) == ["on_demand"] * 3 + ["program_discount", "adjustment", "credit"]
    assert october["top"]["as_of"] == "cutoff"
    assert october["top"]["flows"] == [
        {"workspace": "prod", "flow": name, "billable": 50, "share": "33.3"} for name in ("f0", "f1", "f2")
    ]
    assert october["notes"] == []
    november = story.explained(story.november)
    adjusted = [line for line in november["lines"] if line["kind"] == "adjustment"]
    assert [line["month"] for line in adjusted] == ["2026-10"]
    assert "October 2026 has 4 runs fewer than were billed for it: 86, not 90." in adjusted[0]["text"]
    assert f"invoice {story.october.number}" in adjusted[0]["steps"][1]["text"]
    # What the amendment granted was all used in October.
    left = {grant["grant"]: grant["left"] for grant in november["contract"]["grants"]}
    assert left == {"g1": 0, "g2": 0}


def test_what_changed_is_told_by_cause(story: Story) -> None:
    found = story.explained(story.october)["change"]
    assert found["invoice"] == f"{SEPTEMBER}-000001" and found["billed"]
    assert {each["driver"] for each in found["drivers"]} >= {
        Driver.RUNS,
        Driver.CONTRACT,
        Driver.BRACKETS,
        Driver.PROGRAM,
        Driver.ADJUSTMENT,
        Driver.CREDIT,
    }


def test_a_month_that_is_too_large_to_be_counted_again_says_so(story: Story) -> None:
    quick = story.explained(story.october, most=10)
    assert quick["top"]["as_of"] == "now" and quick["top"]["billable"] == 151
    assert len(quick["notes"]) == 1 and quick["notes"][0].startswith("The workspaces and flows are as they")
    recomputed.check(quick)
    # The grants of November were drawn by runs of October, of which some came after its cutoff: none here.
    late = story.explained(story.november, most=0)
    assert late["contract"]["days"] is not None and late["notes"] == []
    story.world.send(runs(1, day="2026-10-05", prefix="later-still"))
    late = story.explained(story.november, most=10)
    assert late["contract"]["days"] is None and late["contract"]["grants"] is None
    assert story.explained(story.november, most=None)["contract"]["days"] is not None
    recomputed.check(late)


def test_every_door_says_the_same(story: Story, client: Client) -> None:
    cli = Cli(story.world.engine.url.render_as_string(hide_password=False))
    number = story.october.number
    assert number is not None
    held = json.loads(json.dumps(story.explained(story.october)))
    assert client.get(f"/v1/invoices/{number}/explain").json() == held
    assert client.get(f"/v1/invoices/{number}/explain?exact=true").json() == held
    assert cli.json("invoices", "explain", number) == held
    one = client.get(f"/v1/invoices/{number}/explain?line=4").json()
    assert one == cli.json("invoices", "explain", number, "--line", "4")
    assert [line["number"] for line in one["lines"]] == [4]
    assert one["lines"][0] == held["lines"][3]

    preview = client.get("/v1/accounts/acme/preview/explain?month=2026-12").json()
    assert preview == cli.json("preview", "acme", "--month", "2026-12", "--explain")
    assert preview["status"] == "preview" and preview["number"] is None and preview["proof"] is None
    assert preview["total"] == cli.json("preview", "acme", "--month", "2026-12")["total"]
    assert preview["change"]["invoice"] == story.november.number


def test_it_is_printed_for_people(story: Story) -> None:
    cli = Cli(story.world.engine.url.render_as_string(hide_password=False))
    number = story.october.number
    assert number is not None
    shown = cli.done("invoices", "explain", number).out
    for text in (
        "150 billable runs − 60 paid for in advance = 90 runs on demand",
        "Brackets of tiny@1",
        "Contract acme-c  60 runs were paid for in advance",
        ["f2", "50", "33.3%"][0],
        f"sha256sum {number}-runs.csv",
        "Against the month before",
    ):
        assert text in shown
    one = cli.done("invoices", "explain", number, "--line", "4").out
    assert "25% of" in one and "Brackets" not in one and "sha256sum" not in one
    assert "12 more runs" not in one
    contract = story.contract.number
    assert contract is not None
    assert "even parts, part 1" in cli.done("invoices", "explain", contract).out
    assert "Preview  acme, 2026-12" in cli.done("preview", "acme", "--month", "2026-12", "--explain").out


@pytest.mark.parametrize("line", ["0", "7", "-1"])
def test_a_line_that_is_not_there(story: Story, client: Client, line: str) -> None:
    cli = Cli(story.world.engine.url.render_as_string(hide_password=False))
    number = story.october.number
    assert number is not None
    outcome = cli("invoices", "explain", number, "--line", line)
    assert (outcome.code, outcome.error) == (2, f"billing: there is no line {line}; there are lines 1 to 6")
    assert_problem(client.get(f"/v1/invoices/{number}/explain?line={line}"), 422, field="line")


def test_another_account_is_not_explained(story: Story, client: Client) -> None:
    key = client.key("read", "other").secret
    for invoice in (story.october, story.contract):
        assert_problem(client.get(f"/v1/invoices/{invoice.number}/explain", key=key), 404)
    assert_problem(client.get("/v1/accounts/acme/preview/explain", key=key), 404)
    token = create_link(story.world.engine, "other", now=story.world.instant).token
    for place in ("explain", "invoice.json"):
        answer = client.get(f"/c/{token}/invoices/{story.october.number}/{place}", key=None)
        assert answer.status_code == 404 and "acme" not in answer.text


def test_the_page_has_every_line_and_leads_to_the_task_runs(story: Story, client: Client) -> None:
    token = create_link(story.world.engine, "acme", now=story.world.instant).token

    def page(place: str) -> str:
        answer = client.get(f"/c/{token}/{place}", key=None)
        assert answer.status_code == 200
        return answer.text

    number = story.october.number
    invoice, explained = page(f"invoices/{number}"), page(f"invoices/{number}/explain")
    data = story.explained(story.october)
    for line in data["lines"]:
        assert f'invoices/{number}/explain#line-{line["number"]}"' in invoice
        assert f'id="line-{line["number"]}"' in explained
        for step in line["steps"]:
            assert step["text"].replace("'", "&#39;") in explained
    assert f'invoices/{number}/runs"' in explained
    assert f"invoices/{number}/runs?flow=f0&amp;" in explained
    assert data["proof"]["run_list_sha256"] in explained
    assert "Please tell us" not in explained
    for jargon in ("rated", "cutoff", "_", "usage_by_day", "minor"):
        visible = explained.split("<main")[1].split('<dl class="checks"')[0]
        assert jargon not in visible.replace("_top", ""), jargon

    contract = page(f"invoices/{story.contract.number}/explain")
    assert "even parts, part 1" in contract and "Against the month before" not in contract
    so_far = page("explain")
    assert "Why December 2026 so far" in so_far and "runs" in so_far
    assert "explain#line-1" in page("")


def test_the_figures_can_be_downloaded(story: Story, client: Client) -> None:
    token = create_link(story.world.engine, "acme", now=story.world.instant).token
    answer = client.get(f"/c/{token}/invoices/{story.october.number}/invoice.json", key=None)
    assert answer.headers["content-disposition"] == f'attachment; filename="{story.october.number}.json"'
    data = answer.json()
    whole = client.get(f"/v1/invoices/{story.october.number}").json()
    assert data == {name: whole[name] for name in data}
    assert data["brackets"][1] == {"up_to": 60, "unit_price": "0.0333"}
    assert not {"sending", "approved_by", "collection", "credit_notes"} & data.keys()


def test_drafts_and_void_invoices_are_explained_as_they_were(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.account(since="2026-10")
    world.send(runs(12_345))
    world.service.run_month(OCTOBER, early=True)
    (draft,) = list_invoices(world.engine)
    data = explain_invoice(world.engine, world.store, draft.id).to_data()
    recomputed.check(data)
    assert data["proof"]["file"] == f"{draft.id}-runs.csv"  # type: ignore[index]
    world.service.run_month(OCTOBER)
    (issued,) = list_invoices(world.engine)
    void(world, issued)
    world.service.run_month(OCTOBER)
    for each in list_invoices(world.engine):
        recomputed.check(explain_invoice(world.engine, world.store, each.id).to_data())

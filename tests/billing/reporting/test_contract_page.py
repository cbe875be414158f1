"""The page of a contract's report: whole, safe to send, and true to the figures."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest

from billing.pricing.contract import Contract, Service
from billing.reporting.contract_chart import burn_down
from billing.reporting.contract_page import contract_page
from billing.reporting.contract_report import ContractReport, contract_report
from tests.billing.pricing.contracts import ACME, acme, day, grant
from tests.billing.pricing.data import STANDARD

VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "line", "polyline", "polygon", "path"}


class Reader(HTMLParser):
    """The tags of a page, which must nest, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def usage(last: str, runs: int = 3_000) -> dict[date, int]:
    days = (day(last) - day("2026-01-01")).days + 1
    return {day("2026-01-01") + timedelta(days=number): runs + number % 7 for number in range(days)}


def report(contract: Contract, as_of: str, known: dict[date, int] | None = None) -> ContractReport:
    return contract_report(
        contract,
        dict.fromkeys(contract.months, STANDARD),
        usage(min(as_of, "2026-12-31")) if known is None else known,
        invoiced={"grant/g1": 30_000},
        delivered={1: day("2026-01-20")},
        as_of=day(as_of),
    )


SERVICES = (
    Service("Onboarding", 150_000, day("2026-01-01")),
    Service("<b>Support</b>", 0, day("2026-02-01")),
)
HEALTHY = replace(ACME, services=SERVICES)
EXHAUSTED = acme(
    grant("g1", 300_000, until="2026-07-01", price=30_000),
    grant("g2", 100_000, "2026-03-15", "2027-01-01", price=20_000),
    services=SERVICES,
)
EMPTY = acme()
CASES = [
    (HEALTHY, "2026-08-14"),
    (HEALTHY, "2025-12-01"),
    (HEALTHY, "2026-01-01"),
    (HEALTHY, "2027-02-01"),
    (EXHAUSTED, "2026-10-20"),
    (EXHAUSTED, "2026-03-14"),
    (EMPTY, "2026-05-05"),
    (replace(HEALTHY, end=day("2031-01-01")), "2026-06-01"),
]


@pytest.mark.parametrize(("contract", "as_of"), CASES)
def test_a_page_stands_alone(contract: Contract, as_of: str) -> None:
    found = report(contract, as_of, {} if as_of < "2026" else None)
    page = contract_page(found, "Sons & <script>alert(1)</script>")
    reader = Reader(page)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert "Sons & <script>alert(1)</script>" in reader.text
    assert "<b>" not in page
    for _, attributes in reader.tags:
        assert not {"src", "href", "srcset", "style", "onclick"} & set(attributes)
    assert "://" not in page and "@import" not in page and "url(" not in page
    assert not re.search(r"\bnan\b|\binf\b|None", page)


def test_what_a_healthy_contract_reads_like() -> None:
    text = Reader(contract_page(report(HEALTHY, "2026-08-14"), "ACME")).text
    for said in (
        "Committed task runs of ACME",
        "Contract acme-2026 · 1 January 2026 to 31 December 2026",
        "as of 14 August 2026",
        "at the present pace the balance runs out on 30 November 2026",
        "Under this contract price of the grants so far, by committed run 0.0009 USD",
        "August 2026 0 42,042 0 0 0.00 USD 321,327",
        "1 Jul 2026 g1 due 225.00 USD",
        "1 Apr 2026 g1 due, 75.00 USD of it invoiced 225.00 USD",
        "Onboarding 1 Jan 2026 20 Jan 2026 due 1,500.00 USD",
        "<b>Support</b> 1 Feb 2026 owed included 0.00 USD",
        "How the estimates are made",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("contract", "as_of", "said"),
    [
        (EXHAUSTED, "2026-10-20", "The balance ran out on 14 May 2026; usage since is on demand."),
        (HEALTHY, "2025-12-01", "The term begins on 1 January 2026."),
        (
            acme(grant("g1", 2_000_000)),
            "2027-01-01",
            "The term has ended: 1,096,092 of 2,000,000 runs committed were used, 903,908 expired.",
        ),
        (acme(grant("g1", 2_000_000)), "2026-12-30", "at the present pace 903,905 will expire unused."),
    ],
)
def test_the_headline(contract: Contract, as_of: str, said: str) -> None:
    assert said in Reader(contract_page(report(contract, as_of, {} if as_of < "2026" else None))).text


def test_the_picture_says_what_it_shows() -> None:
    reader = Reader(burn_down(report(EXHAUSTED, "2026-10-20")))
    (svg,) = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert svg["role"] == "img"
    ids = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    assert set((svg["aria-labelledby"] or "").split()) == ids
    assert "0 runs of 400,000 committed are left. The balance ran out on 14 May 2026." in reader.text
    for shown in ("+300k (g1)", "+100k (g2)", "ran out 14 May 2026", "as of 20 Oct 2026", "Jan 2026", "Dec"):
        assert shown in reader.text


@pytest.mark.parametrize(("contract", "as_of"), CASES)
def test_nothing_is_drawn_beside_the_picture(contract: Contract, as_of: str) -> None:
    picture = burn_down(report(contract, as_of, {} if as_of < "2026" else None))
    for x in re.findall(r'\bx[12]?="([^"]+)"', picture):
        assert 0 <= float(x) <= 760
    for points in re.findall(r'points="([^"]+)"', picture):
        for x, y in (point.split(",") for point in points.split()):
            assert 58 <= float(x) <= 744
            assert 46 <= float(y) <= 238

"""Reading a Prefect server's task runs, from a stand-in on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metering.collecting.errors import PrefectError
from metering.collecting.prefect_server import ATTEMPTS, PrefectServer
from metering.period import Month, format_instant
from tests.metering.prefect_double import PrefectDouble, prefect_double, row, run_id

OCTOBER = Month(2026, 10)


@pytest.fixture
def double() -> Iterator[PrefectDouble]:
    with prefect_double() as made:
        yield made


def read(double: PrefectDouble, *, key: str | None = None, waited: list[float] | None = None) -> list[Any]:
    seconds = [] if waited is None else waited
    with PrefectServer(double.url, key, wait=seconds.append) as server:
        return list(server.task_runs(OCTOBER.start, OCTOBER.end))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seconds": 1.000001}, "billable"),
        ({"seconds": 1.0}, "too_short"),
        ({"seconds": 1.0000009}, "too_short"),
        ({"name": "Cached", "seconds": 0.001095}, "cached"),
        ({"name": "Cached", "seconds": 2}, "billable"),
        ({"name": "RolledBack", "seconds": 1.1}, "reversed"),
        ({"name": "Skipped"}, "billable"),
        ({"state": "FAILED", "name": "TimedOut"}, "failed"),
        ({"state": "FAILED", "name": "Cached"}, "failed"),
        ({"state": "CRASHED"}, "crashed"),
        ({"state": "CANCELLED"}, "cancelled"),
        ({"seconds": None, "start_time": "2026-10-03T12:00:03Z"}, "billable"),
        ({"seconds": None, "start_time": None}, "too_short"),
    ],
)
def test_a_row_is_read_by_the_rules(double: PrefectDouble, given: dict[str, Any], says: str) -> None:
    double.rows = [row(1, **given)]
    (run,) = read(double)
    assert (run.task_run_id, run.outcome.reason) == (run_id(1), says)
    assert format_instant(run.ended_at) == "2026-10-03T12:00:05Z"


def test_what_is_no_task_run_or_not_over_is_left_out(double: PrefectDouble) -> None:
    double.rows = [row(1, subflow="child"), row(2, state="RUNNING"), row(3)]
    double.rows[2]["state"] = None  # what it says beside its state stands in
    assert [run.task_run_id for run in read(double)] == [run_id(3)]


def test_only_the_month_is_read(double: PrefectDouble) -> None:
    ends = ["2026-09-30T23:59:59.999999Z", "2026-10-01T00:00:00Z", "2026-10-31T23:59:59.999999Z",
            "2026-11-01T00:00:00Z"]  # fmt: skip
    double.rows = [row(number, end=end) for number, end in enumerate(ends)]
    assert [run.task_run_id for run in read(double)] == [run_id(2), run_id(1)]


@pytest.mark.parametrize("at_once", [1, 7, 199, 200, 201, 650])
def test_every_run_comes_once_however_many_ended_at_the_same_instant(
    double: PrefectDouble, at_once: int
) -> None:
    """Pages end between runs of one microsecond."""
    double.rows = [row(number, end=f"2026-10-03T12:00:00.{number // at_once:06d}Z") for number in range(650)]
    found = [run.task_run_id for run in read(double)]
    assert len(found) == 650
    assert set(found) == {run_id(number) for number in range(650)}


def test_a_run_that_ends_meanwhile_shifts_nothing(double: PrefectDouble) -> None:
    double.rows = [row(number, end=f"2026-10-03T12:00:00.{number:06d}Z") for number in range(450)]
    with PrefectServer(double.url) as server:
        found = []
        for run in server.task_runs(OCTOBER.start, OCTOBER.end):
            found.append(run.task_run_id)
            if len(found) % 200 == 0:
                double.rows.append(row(1000 + len(found), end="2026-10-30T00:00:00Z"))
    assert sorted(found) == sorted(run_id(number) for number in range(450))


def test_a_server_that_is_busy_is_asked_again_when_it_says(double: PrefectDouble) -> None:
    double.rows = [row(1)]
    double.answers = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), (429, {"Retry-After": "900"}, b"")]
    waited: list[float] = []
    assert len(read(double, key="pnu_1", waited=waited)) == 1
    assert waited == [7.0, 2.0, 60.0]
    assert double.keys == ["Bearer pnu_1"] * 4


def test_when_it_says_may_be_a_date_by_its_own_clock(double: PrefectDouble) -> None:
    """Whatever ours says. Sooner than now is at once; what is no date is not waited for."""
    double.rows = [row(1)]
    dates = ("Mon, 02 Nov 2026 00:00:40 GMT", "Sun, 01 Nov 2026 00:00:00 GMT", "in a while")
    double.answers = [(503, {"Retry-After": each}, b"") for each in dates]
    waited: list[float] = []
    assert len(read(double, key="pnu_1", waited=waited)) == 1
    assert waited == [40.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {}, b""), "BILLING_PREFECT_API_KEY"),
        ((403, {}, b""), "BILLING_PREFECT_API_KEY"),
        ((404, {}, b""), "there is no API of Prefect at"),
        ((422, {}, b"no such sort"), "refuses the question (422): no such sort"),
        ((307, {"Location": "http://127.0.0.1:1/"}, b""), "refuses the question (307)"),
        ((200, {}, b"<html>"), "does not answer with JSON"),
        ((200, {}, b'{"detail": 1}'), "does not answer with a list of task runs"),
        ((200, {}, b"[1]"), "does not answer with a list of task runs"),
        ((200, {}, b'[{"id": "x", "end_time": null}]'), "'x' that cannot be read: end_time is missing"),
        ((200, {}, b'[{"id": "x", "end_time": "2030-01-01T00:00:00Z"}]'), "does not sort by end_time"),
    ],
)
def test_what_another_attempt_would_not_change_is_told_at_once(
    double: PrefectDouble, answer: tuple[int, dict[str, str], bytes], says: str
) -> None:
    double.answers = [answer]
    waited: list[float] = []
    with pytest.raises(PrefectError) as caught:
        read(double, waited=waited)
    assert says in str(caught.value)
    assert waited == []


def test_a_server_that_stays_away_is_given_up(double: PrefectDouble) -> None:
    double.answers = [(500, {}, b"")] * ATTEMPTS
    waited: list[float] = []
    with pytest.raises(PrefectError, match=r"answers 500; try again later"):
        read(double, waited=waited)
    assert waited == [1.0, 2.0, 4.0, 8.0, 16.0]
    with (
        PrefectServer("http://127.0.0.1:1", wait=waited.append) as nobody,
        pytest.raises(PrefectError, match="cannot be reached"),
    ):
        next(nobody.task_runs(OCTOBER.start, OCTOBER.end))


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("http://prefect:4200", "http://prefect:4200/api"),
        ("http://prefect:4200/", "http://prefect:4200/api"),
        ("http://prefect:4200/api/", "http://prefect:4200/api"),
        ("https://host/prefect", "https://host/prefect/api"),
        (
            "https://api.prefect.cloud/api/accounts/a/workspaces/w",
            "https://api.prefect.cloud/api/accounts/a/workspaces/w",
        ),
    ],
)
def test_addresses(url: str, api: str) -> None:
    assert PrefectServer(url).url == api


@pytest.mark.parametrize("url", ["", "prefect:4200", "file:///etc/passwd", "ftp://host", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(PrefectError, match="is not the address of a Prefect server"):
        PrefectServer(url)

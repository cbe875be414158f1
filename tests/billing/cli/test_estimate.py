"""billing estimate: what somebody's month would cost."""

from __future__ import annotations

from pathlib import Path

from tests.billing.cli.conftest import Cli
from tests.metering.prefect_double import prefect_double, row

HEADER = "dag_id,task_id,run_id,map_index,start_date,end_date,duration,state\n"


def instance(number: int, *, month: str = "2026-10", state: str = "success", duration: str = "2.5") -> str:
    end = f"{month}-03 10:00:05+00"
    return f"etl,load,run-{number},-1,{month}-03 10:00:00+00,{end},{duration},{state}\n"


def export(path: Path, *rows: str) -> Path:
    path.write_text(HEADER + "".join(rows))
    return path


def test_an_airflow_export_is_priced_by_month(cli: Cli, tmp_path: Path) -> None:
    """12,400 billable runs: 2,400 at 0.0025 USD are 6.00 USD."""
    many = [instance(number) for number in range(12_400)]
    others = [instance(20_000, state="failed"), instance(20_001, duration="0.9"), instance(3)]
    september = [instance(number, month="2026-09") for number in range(30_000, 30_010)]
    path = export(tmp_path / "task_instance.csv", *many, *others, *september)
    data = cli.json("estimate", path, "--format", "airflow", "--plan", "starter")
    assert (data["plan"], data["free_runs"], data["busiest"]) == ("starter@2021-02", 10_000, "2026-10")
    assert [(each["month"], each["billable"], each["total"]) for each in data["months"]] == [
        ("2026-09", 10, 0),
        ("2026-10", 12_400, 600),
    ]
    not_billed = data["months"][1]["not_billed"]
    assert (not_billed["too_short"], not_billed["failed"], sum(not_billed.values())) == (1, 1, 2)
    assert data["ingest"]["duplicate"] == 1
    told = cli("estimate", path, "--format", "airflow").out
    assert "the busiest month has 2,400 more (1.2 times)" in told
    assert "the next run would cost 0.0025 USD" in told
    small = export(tmp_path / "small.csv", *september)
    assert "uses 0 % of them, and costs nothing" in cli("estimate", small, "--format", "airflow").out


def test_the_capture_is_estimated_as_it_is_billed(cli: Cli, tmp_path: Path) -> None:
    capture = Path(__file__).parents[3] / "metering" / "sources" / "samples" / "prefect-events.ndjson"
    data = cli.json("estimate", capture, "--format", "prefect")
    assert sum(each["billable"] for each in data["months"]) > 0
    assert data["ingest"]["rejected"] == 0


def test_a_prefect_server_is_asked_itself(cli: Cli) -> None:
    rows = [row(number, seconds=2.5) for number in range(5)]
    rows += [
        row(5, state="FAILED"),
        row(6, seconds=0.5),
        row(7, end="2026-09-03T12:00:05Z"),
        row(8, subflow="x"),
    ]
    rows += [row(9, end="2026-08-03T12:00:05Z")]
    with prefect_double(rows) as double:
        asked = ("estimate", "--api-url", double.url, "--since", "2026-09")
        data = cli.json(*asked)
        assert [(each["month"], each["billable"]) for each in data["months"]] == [
            ("2026-09", 1),
            ("2026-10", 5),
        ]
        not_billed = data["months"][1]["not_billed"]
        assert (not_billed["too_short"], not_billed["failed"], sum(not_billed.values())) == (1, 1, 2)
        assert "uses 0 % of them, and costs nothing" in cli(*asked).out
        assert cli(*asked, "--plan", "gold").code == 2
        assert cli("estimate", "--api-url", double.url, "--format", "airflow").code == 2
        assert cli("estimate", "--api-url", double.url, "--since", "soon").code == 2
    assert cli("estimate").code == 2
    assert "cannot be reached" in cli("estimate", "--api-url", "http://127.0.0.1:9").err


def test_what_cannot_be_read_is_named_and_the_rest_is_priced(cli: Cli, tmp_path: Path) -> None:
    path = export(tmp_path / "x.csv", instance(1), instance(2).replace("2.5", "long"))
    done = cli("estimate", path, "--format", "airflow")
    assert done.code == 1
    assert "task run 1 (from 0), duration" in done.err
    (month,) = cli("estimate", path, "--format", "airflow", "--json").data["months"]
    assert month["billable"] == 1


def test_wrong_usage_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    path = export(tmp_path / "x.csv", instance(1))
    assert "plan" in cli("estimate", path, "--format", "airflow", "--plan", "gold").err
    (tmp_path / "empty.csv").write_text("")
    assert "empty" in cli("estimate", tmp_path / "empty.csv", "--format", "airflow").err
    nothing = export(tmp_path / "nothing.csv", instance(1, state="skipped"))
    assert "nothing to price" in cli("estimate", nothing, "--format", "airflow").out


def test_an_airflow_export_is_metered(cli: Cli, tmp_path: Path) -> None:
    path = export(tmp_path / "task_instance.csv", instance(1), instance(2, state="failed"), instance(1))
    cli.done("accounts", "add", "acme", "--billing-from", "2026-10")
    told = cli.json("ingest", path, "--format", "airflow", "--account", "acme")
    assert (told["accepted"], told["duplicate"], told["rejected"]) == (2, 1, 0)
    assert cli.json("usage", "acme", "--month", "2026-10")["billable"] == 1
    assert "name the account" in cli("ingest", path, "--format", "airflow").err

"""Writes tests/metering/samples/openlineage.ndjson: events as the real library makes them, by its own client
and transport. The tests read the file; to write it anew, in an environment of its own:

    python -m venv /tmp/openlineage && /tmp/openlineage/bin/pip install openlineage-python==1.54.0
    /tmp/openlineage/bin/python scripts/sample_openlineage.py
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Dataset, Job, JobEvent, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import job_type_job, parent_run
from openlineage.client.transport.file import FileConfig, FileTransport

TARGET = Path(__file__).parent.parent / "tests" / "metering" / "samples" / "openlineage.ndjson"
PRODUCER = "https://example.com/etl"
BEGIN = datetime(2026, 10, 3, 2, tzinfo=UTC)
DAG_RUN = "01999999-0000-7000-8000-000000000000"

# Name, seconds, how it ended, and what kind of job it is.
RUNS = [
    ("nightly_etl", 30.0, RunState.COMPLETE, ("AIRFLOW", "DAG")),
    ("nightly_etl.extract", 4.25, RunState.COMPLETE, ("AIRFLOW", "TASK")),
    ("nightly_etl.check", 1.0, RunState.COMPLETE, ("AIRFLOW", "TASK")),
    ("nightly_etl.load", 7.5, RunState.FAIL, ("AIRFLOW", "TASK")),
    ("nightly_etl.report", 0.5, RunState.ABORT, ("AIRFLOW", "TASK")),
    ("still_running", 0.0, None, None),
    ("plain_script", 2.000001, RunState.COMPLETE, None),
]


def events(
    number: int, name: str, seconds: float, end: RunState | None, kind: tuple[str, str] | None
) -> list:
    facets = {}
    if kind:
        facets["jobType"] = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration=kind[0], jobType=kind[1]
        )
    parent = {}
    if kind == ("AIRFLOW", "TASK"):
        parent["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=DAG_RUN), job=parent_run.Job(namespace="prod", name="nightly_etl")
        )
    run_id = DAG_RUN if number == 0 else str(UUID(int=UUID(DAG_RUN).int + number))
    start = BEGIN + timedelta(minutes=number)
    said = [(RunState.START, start), (RunState.RUNNING, start + timedelta(milliseconds=100))]
    said += [(end, start + timedelta(seconds=seconds))] if end else []
    return [
        RunEvent(
            eventType=state,
            eventTime=at.isoformat(),
            run=Run(runId=run_id, facets=parent),
            job=Job(namespace="prod", name=name, facets=facets),
            producer=PRODUCER,
            outputs=[OutputDataset(namespace="s3://lake", name="orders")],
        )
        for state, at in said
    ]


def main() -> None:
    made = [event for number, run in enumerate(RUNS) for event in events(number, *run)]
    made.append(
        JobEvent(
            eventTime=BEGIN.isoformat(),
            job=Job(namespace="prod", name="nightly_etl"),
            producer=PRODUCER,
            inputs=[Dataset(namespace="s3://lake", name="raw")],
        )
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        client = OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(path), append=True)))
        for event in made:
            client.emit(event)
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()

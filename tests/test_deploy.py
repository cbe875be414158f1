"""What deploy/ says is true of the service: the figures that rules and boards ask for are told, and files
that a container takes are there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from billing.cli.app import app
from metering.settings import Settings
from tests.billing.api.client import running
from tests.conftest import NewDatabase
from tests.world import World

DEPLOY = Path(__file__).parent.parent / "deploy"
_METRIC = re.compile(r"\bbilling_[a-z_]+")
_LABELLED = re.compile(r"(billing_[a-z_]+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!=|=)\s*\"([^\"]*)\"")


def _questions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(asked) > 20
    return asked


@pytest.fixture(scope="module")
def told(sqlite_databases: NewDatabase) -> dict[str, set[tuple[str, str]]]:
    """What /metrics tells: each name, with its labels and their values."""
    world = World(sqlite_databases())
    with running(world) as client:
        assert client.post("/v1/events", json=[]).status_code == 200
        client.get("/v1/accounts")
        text = client.get("/metrics").text
    found: dict[str, set[tuple[str, str]]] = {}
    for name, labels in re.findall(r"^(billing_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(_LABEL.findall(labels))
    for name in re.findall(r"^# TYPE (billing_\w+) ", text, re.MULTILINE):
        found.setdefault(name, set())
    return found


def test_what_rules_and_boards_ask_for_is_told(told: dict[str, set[tuple[str, str]]]) -> None:
    asked = {name for question in _questions() for name in _METRIC.findall(question)}
    assert asked <= set(told)
    # And what is told is looked at.
    looked_at = {re.sub("_(bucket|count|sum|created|total)$", "", name) for name in asked}
    assert {re.sub("_(bucket|count|sum|created|total)$", "", name) for name in told} == looked_at


def test_labels_have_the_values_that_are_asked_for(told: dict[str, set[tuple[str, str]]]) -> None:
    for question in _questions():
        for name, labels in _LABELLED.findall(question):
            for label, wanted in _LABEL.findall(labels):
                values = {value for known, value in told[name] if known == label}
                for value in wanted.split("|") if label not in ("status", "job") else ():
                    assert value in values, (question, name, label, value)


def test_requests_are_counted_by_their_route_and_name_nobody(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.account("globex")
    with running(world) as client:
        for path, status in (
            ("/v1/accounts/globex", 200),
            ("/v1/accounts/nobody", 404),
            ("/c/secret/", 403),
            ("/console/", 403),
            ("/nowhere", 404),
        ):
            assert client.get(path, follow_redirects=False).status_code == status, path
        text = client.get("/metrics").text
    counted = re.findall(r"^billing_request_seconds_count\{(.*)\} 1\.0$", text, re.MULTILINE)
    assert {tuple(value for _, value in sorted(_LABEL.findall(each))) for each in counted} == {
        ("GET", "/v1/accounts/{account_id}", "200"),
        ("GET", "/v1/accounts/{account_id}", "404"),
        ("GET", "/c/{token}/", "403"),
        ("GET", "/console/", "403"),
        ("GET", "none", "404"),
    }
    assert "globex" not in text and "secret" not in text


def test_events_are_counted_by_what_came_of_them(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    event = {"account": "acme", "task_run_id": "r", "state": "COMPLETED", "ended_at": "2026-10-03T02:00:05Z"}
    event |= {"started_at": "2026-10-03T02:00:00Z"}
    with running(world) as client:
        report = client.post("/v1/events", json=[event, event, event | {"state": 7}]).json()
        text = client.get("/metrics").text
    for result in ("accepted", "duplicate", "rejected", "ignored"):
        assert f'billing_events_total{{result="{result}"}} {report[result]}.0' in text
    assert report["accepted"] == report["duplicate"] == report["rejected"] == 1


def test_the_container_takes_what_is_there() -> None:
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", "").splitlines()
    copied = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY ")]
    kept = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    for name in (name for each in copied for name in each):
        assert (DEPLOY.parent / name).exists(), name
        assert f"!{name}" in kept, name


def test_commands_and_settings_are_known() -> None:
    unit = (DEPLOY / "billing.service").read_text()
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    container = (DEPLOY / "Containerfile").read_text()
    commands = [
        line.split("/bin/billing ")[1].split() for line in unit.splitlines() if "/bin/billing " in line
    ]
    commands += [each["command"] for name, each in compose["services"].items() if name in ("init", "billing")]
    commands += [json.loads(line[4:]) for line in container.splitlines() if line.startswith("CMD ")]
    assert len(commands) == 5  # two of systemd, two of compose, the container's
    for command in commands:
        done = CliRunner().invoke(app, [command[0], "--help"])
        assert done.exit_code == 0
        for option in (each for each in command if each.startswith("--")):
            assert option in done.output, command
    named = set(re.findall(r"BILLING_([A-Z_]+)", unit + container)) | {
        name.removeprefix("BILLING_") for name in compose["services"]["init"]["environment"]
    }
    assert {name.lower() for name in named} <= set(Settings.model_fields)

"""What the service logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from billing.audit.actor import acting
from billing.logs import configure
from tests.billing.api.client import running
from tests.conftest import NewDatabase
from tests.world import World


@pytest.fixture(autouse=True)
def as_text_again() -> Iterator[None]:
    yield
    configure()


def test_a_traceback_shows_no_values_and_answers_stay_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        configure(as_json=as_json)
        log = structlog.get_logger()

        def call(secret: str) -> None:
            raise RuntimeError("it broke")

        try:
            call("sk_test_" + "secret")
        except RuntimeError:
            log.exception("intent not done", intent="inv_1")
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "intent not done" in shown.err and "RuntimeError: it broke" in shown.err
        assert "test_logs.py" in shown.err
        assert "sk_test_secret" not in shown.err


def test_as_json_each_line_is_an_object_ours_or_a_librarys(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure(as_json=True)  # the latter holds, once
    with acting("key key_1", "req-7"):
        structlog.get_logger().warning("sources are late", source="src_1")
        logging.getLogger("some.library").error("it said %s", "so")
        logging.getLogger("urllib3.connectionpool").error("https://example.com/?key=secret")  # we say it
    structlog.get_logger().info("alone")
    ours, library, alone = map(json.loads, capsys.readouterr().err.splitlines())
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "sources are late", "level": "warning", "source": "src_1", "request_id": "req-7"}
    assert (library["event"], library["level"], library["logger"]) == ("it said so", "error", "some.library")
    assert library["request_id"] == "req-7"
    assert "request_id" not in alone


def test_a_request_that_went_wrong_has_a_line_with_its_route(
    sqlite_databases: NewDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines(log_requests: str) -> list[dict[str, Any]]:
        world = World(sqlite_databases())
        settings = world.service.settings.model_copy(update={"log_requests": log_requests})
        world.service = replace(world.service, settings=settings)
        with running(world) as client:
            configure(as_json=True)
            capsys.readouterr()
            client.get("/v1/accounts")
            client.get("/v1/accounts/nobody", headers={"X-Request-Id": "mine-1"})
            client.get("/c/somebodys-link/")
            client.get("/healthz")
            said = capsys.readouterr().err.splitlines()
        return [each for each in map(json.loads, said) if each["event"] == "request"]

    refused, page = lines("wrong")
    assert refused.pop("timestamp") and refused.pop("milliseconds") > 0
    assert refused == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/v1/accounts/{account_id}",
        "status": 404,
        "request_id": "mine-1",
    }
    assert (page["route"], page["status"]) == ("/c/{token}/", 403)
    assert [each["route"] for each in lines("all")] == [
        "/v1/accounts",
        "/v1/accounts/{account_id}",
        "/c/{token}/",
    ]

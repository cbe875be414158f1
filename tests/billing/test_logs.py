"""What the service logs."""

from __future__ import annotations

import pytest
import structlog

from billing.logs import configure


def test_a_traceback_shows_no_values_and_answers_stay_apart(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
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

"""The two servers, each in a process of its own, as they are started and stopped by hand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.billing.cli.conftest import Cli

# A shell's background jobs, which tests may be, ignore Ctrl-C, and so do the processes that they start.
_MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from billing.cli import main
main()
"""


@contextmanager
def running(*words: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and the address that it says."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", _MAIN, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"http://[\w.:]+", said)
        assert address is not None, said + process.stdout.read()
        yield process, address[0]
    finally:
        process.kill()
        process.communicate()


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    said = process.stdout.read()  # to its end, which is the process's
    return process.wait(timeout=30), said


def test_the_service_is_served_until_interrupted(cli: Cli) -> None:
    url = cli.env["BILLING_DATABASE_URL"]
    assert url is not None
    with running("serve", "--port", "0", BILLING_DATABASE_URL=url, BILLING_SCHEDULE="on") as (
        process,
        address,
    ):
        with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").json()["schedule"]
            assert client.get("/v1/accounts/acme/usage").status_code == 401
        port = address.rpartition(":")[2]
        assert f"cannot listen on 127.0.0.1 port {port}" in cli("serve", "--port", port).error
        code, said = interrupted(process)
    assert code == 0
    assert "the next billing run: " in said
    assert "Traceback" not in said


def test_nothing_is_served_without_a_schema(folder: Path) -> None:
    outcome = Cli("sqlite:///fresh.db")("serve", "--port", "0")
    assert "run: billing init" in outcome.error
    assert outcome.code == 2


def test_the_sandbox_says_how_to_connect_to_it() -> None:
    with running("stripe-sandbox", "--port", "0") as (process, address):
        answer = httpx.get(
            f"{address}/v1/customers", auth=("sk_test_sandbox", ""), trust_env=False, timeout=20
        )
        assert answer.json()["data"] == []
        code, said = interrupted(process)
    assert code == 0
    assert f"BILLING_STRIPE_API_BASE={address}" in said

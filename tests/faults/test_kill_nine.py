"""Real processes, really killed (SIGKILL): the service under load, and a billing run at each of its calls."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from hypothesis import settings

from billing.app import make_service
from billing.payments.stripe_sandbox import Fault, FaultKind, FaultSchedule, RunningSandbox, running_sandbox
from billing.plans import load_plan_text
from metering.clock import now_instant
from metering.period import SECOND_US
from metering.settings import Settings
from tests.events import runs
from tests.faults.conftest import Serve
from tests.faults.served import BATCH, Served, environment
from tests.settled import assert_settled
from tests.world import NOVEMBER_2, OCTOBER, World

# Under the nightly profile, many more.
KILLS = 10 if settings().max_examples <= 200 else 1_000


def test_a_killed_service_keeps_what_it_acknowledged(tmp_path: Path, serve: Serve) -> None:
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    service = make_service(Settings(_env_file=None, database_url=url))
    first = service.init()
    assert first is not None
    chance = random.Random(9)
    acknowledged: set[int] = set()
    sent = 0
    for _ in range(KILLS):
        server = serve(url, first.secret)
        goal = len(acknowledged) + chance.randrange(5, 25)
        lock = threading.Lock()

        def work(server: Served = server, lock: threading.Lock = lock) -> None:
            nonlocal sent
            while True:
                with lock:
                    number, sent = sent, sent + 1
                if not server.send(number):
                    return
                with lock:
                    acknowledged.add(number)

        clients = [threading.Thread(target=work) for _ in range(4)]
        for client in clients:
            client.start()
        while len(acknowledged) < goal:
            time.sleep(0.001)
        server.kill()
        for client in clients:
            client.join()
        # What was acknowledged is there and counted; no batch is there in part.
        held = {run.task_run_id for run in service.store.runs("acme", OCTOBER.start, OCTOBER.end, 2**62)}
        assert {f"run-{number}-{place}" for number in acknowledged for place in range(BATCH)} <= held
        assert len(held) % BATCH == 0
        assert service.store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == len(held)
    # Sent again, as a client does that got no answer, every run counts once.
    server = serve(url, first.secret)
    assert all(server.send(number) for number in range(sent))
    server.kill()
    assert service.store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == sent * BATCH


PLAN = """{"plan": "dear", "version": "1", "effective_from": "2021-01-01", "currency": "USD",
    "brackets": [{"up_to": 2, "unit_price": "0"}, {"up_to": null, "unit_price": "1"}]}"""
CALLS = [
    ("POST", "/v1/customers"),
    ("POST", "/v1/invoices"),
    ("POST", "/v1/invoices/{invoice}/add_lines"),
    ("GET", "/v1/invoices/{invoice}"),
    ("POST", "/v1/invoices/{invoice}/finalize"),
]


def _run_the_month(url: str, sandbox: RunningSandbox, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "billing.cli", "run", "2026-10", "--json"],
        env=environment(
            BILLING_DATABASE_URL=url,
            BILLING_STRIPE_API_KEY=sandbox.api_key,
            BILLING_STRIPE_API_BASE=sandbox.url,
        ),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_billing_run_is_finished_by_the_next(tmp_path: Path) -> None:
    """At each call the process is killed after Stripe has done its work and before it has the answer. Time
    passes (its claim lapses), and the run is started again."""
    with running_sandbox(deliver_webhooks=False) as sandbox:
        for number, (method, route) in enumerate(CALLS):
            sandbox.state.reset()
            url = f"sqlite:///{tmp_path / str(number)}.db"
            service = make_service(Settings(_env_file=None, database_url=url))
            service.init()
            load_plan_text(service.engine, PLAN, "plan.json", NOVEMBER_2)
            world = World(service.engine)
            world.account("a", plan="dear")
            world.account("b", plan="dear")
            world.send(runs(3, account="a"), runs(4, account="b"))
            hang = Fault(method, route, nth=2, kind=FaultKind.APPLIED_THEN_HANGS, seconds=60)
            sandbox.state.faults = FaultSchedule([hang])
            doomed = _run_the_month(url, sandbox, tmp_path)
            while sandbox.state.faults.pending:
                assert doomed.poll() is None
                time.sleep(0.005)
            doomed.kill()
            doomed.communicate()
            later = make_service(
                Settings(
                    _env_file=None,
                    database_url=url,
                    stripe_api_key=sandbox.api_key,
                    stripe_api_base=sandbox.url,
                ),
                lambda: now_instant() + 100 * SECOND_US,
            )
            later.run_month(OCTOBER)
            ours = assert_settled(service.engine, sandbox, ["a", "b"])
            assert {invoice.account: invoice.total for invoice in ours} == {"a": 100, "b": 200}
            service.store.close()

"""The service is as its description (/openapi.json) says, whatever it is asked: Schemathesis asks a real one
over HTTP, with what fits the description and what does not, and in chains, an answer leading to the next
request.

No answer is a 500; each has a status, a media type, headers and a shape that are described; what breaks the
description is refused; no method works that is not there; nothing is answered without a key, and nothing of
what was removed. Not asked is that all that fits is taken: an account that was closed is not closed again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from billing.access import NewKey, create_key
from billing.api.examples import CONTRACT
from billing.payments.stripe_sandbox import running_sandbox
from billing.schema import upgrade
from metering.clock import now_instant
from metering.database import make_engine
from metering.period import Month
from tests.events import runs
from tests.faults.served import Served, environment
from tests.openapi.hooks import OWN_KEY
from tests.world import World

NIGHTLY = settings().max_examples > 200
# Of each route; of chains; and how many runs of all.
EXAMPLES, CHAINS, SEEDS = (200, 3_000, 5) if NIGHTLY else (2, 150, 1)
CONFIGURATION = f"""
[generation]
max-examples = {EXAMPLES}
database = "none"
[phases.stateful.generation]
max-examples = {CHAINS}
"""
NO_LIMITS = {"BILLING_RATE_LIMIT_KEY": "off", "BILLING_RATE_LIMIT_ADDRESS": "off"}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[World]:
    """Two customers with a month that is over."""
    engine = make_engine(f"sqlite:///{tmp_path / 'billing.db'}")
    upgrade(engine)
    world = World(engine, now=now_instant())
    month = Month.of(world.instant).previous()
    for name, plan in (("acme", "starter"), ("other", "standard")):
        world.account(name, plan=plan, since=str(month))
        world.send(runs(30, account=name, day=f"{month}-03"))
    yield world
    engine.dispose()


def begin(served: Served, key: NewKey, month: Month) -> None:
    """One of most things there are, so that there is something to find."""
    bodies: dict[str, object] = {
        "/v1/billing-runs": {"month": str(month)},
        "/v1/contracts": CONTRACT,
        "/v1/disputes": {"account": "acme", "runs": ["run-0000001"], "message": "x", "raised_by": "x"},
        "/v1/accounts/acme/credits": {"amount": "5", "reason": "x"},
        "/v1/accounts/acme/programs": {"program": "academia", "percent": "5", "until": "2090-01-01"},
        "/v1/operator-sessions": {"name": "ada", "role": "viewer"},
        "/v1/keys": {"scope": "read"},
    }
    headers = {"Authorization": f"Bearer {key.secret}", "Content-Type": "application/json"}
    for path, body in bodies.items():
        answer = served.ask("POST", path, json.dumps(body), headers)
        assert answer.status in (200, 201), (path, answer)


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_the_service_is_as_it_is_described(tmp_path: Path, told: World, seed: int) -> None:
    key = create_key(told.engine, "admin", None, told.instant)
    with running_sandbox(deliver_webhooks=False) as sandbox:
        served = Served(
            told.engine.url.render_as_string(),
            key.secret,
            tmp_path,
            BILLING_STRIPE_API_KEY=sandbox.api_key,
            BILLING_STRIPE_API_BASE=sandbox.url,
            BILLING_STRIPE_WEBHOOK_SECRET=sandbox.webhook_secret,
            **NO_LIMITS,
        )
        try:
            (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
            begin(served, key, Month.of(told.instant).previous())
            asked = subprocess.run(
                [
                    Path(sys.executable).with_name("schemathesis"),
                    *("run", f"{served.address}/openapi.json"),
                    *("--header", f"Authorization: Bearer {key.secret}"),
                    *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
                    *("--seed", str(seed), "--continue-on-failure", "--no-color", "--warnings", "off"),
                ],
                cwd=tmp_path,
                env=environment(SCHEMATHESIS_HOOKS="tests.openapi.hooks", **{OWN_KEY: key.key.id}),
                capture_output=True,
                text=True,
                check=False,
            )
            # The key is good to the end: what was asked was answered.
            headers = {"Authorization": f"Bearer {key.secret}"}
            assert served.ask("GET", "/v1/accounts", headers=headers).status == 200
        finally:
            served.kill()
    if NIGHTLY:
        print(asked.stdout[-2_000:])  # how much was asked
    assert asked.returncode == 0, asked.stdout[-20_000:]

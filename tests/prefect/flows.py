"""Flows for the tests with a real Prefect, run by its Python: `python flows.py NAME [SEED [NUMBER]]`.

What each task run should come to is not said here: the server's own rows say it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.futures import wait
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.transactions import transaction


@task
def nap(seconds: float) -> None:
    time.sleep(seconds)


@task(retries=2, retry_delay_seconds=0.2)
def fails_at_first(seconds: float) -> None:
    from prefect.context import TaskRunContext

    time.sleep(seconds)
    context = TaskRunContext.get()
    if context is not None and context.task_run.run_count < 3:
        raise ValueError("once more")


@task
def fails(seconds: float) -> None:
    time.sleep(seconds)
    raise ValueError("as it should")


@task(cache_policy=INPUTS, persist_result=True)
def cached(key: str, seconds: float) -> str:
    time.sleep(seconds)
    return key


@task(timeout_seconds=0.3)
def times_out() -> None:
    time.sleep(5)


@task
def named(kind: str) -> Any:
    """States that the user names, also as those that mean something."""
    time.sleep(1.1)
    return {
        "skipped": Completed(name="Skipped"),
        "failed in name": Completed(name="Failed"),
        "completed in name": Failed(name="Completed"),
        "accents": Completed(name="Terminé à moitié"),
        "cancelled": Cancelled(),
    }[kind]


@task
async def async_nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


@task
async def async_fails() -> None:
    raise ValueError("as it should")


@task
def undone(seconds: float) -> None:
    time.sleep(seconds)


@undone.on_rollback
def _undo(_transaction: Any) -> None:
    pass


@task
def outer(seconds: float) -> None:
    """A task that calls a task."""
    nap(seconds)
    time.sleep(seconds)


@flow
def child() -> None:
    nap(1.05)
    nap(0.01)


@flow
def rolled_back() -> None:
    with transaction():
        undone(1.05)
        undone(0.01)
        raise ValueError("so that it is rolled back")


@flow(retries=1)
def again() -> None:
    """The flow run is started again: its task runs are new ones."""
    from prefect.context import FlowRunContext

    nap(1.05)
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    if context.flow_run.run_count < 2:
        raise ValueError("once more")


@flow
async def in_async() -> None:
    await asyncio.gather(async_nap(1.05), async_nap(0.01), async_fails(return_state=True))


@flow(timeout_seconds=0.5)
async def cut_short() -> None:
    """Its tasks crash."""
    await asyncio.gather(async_nap(30), async_nap(30))


@flow(task_runner=ThreadPoolTaskRunner(max_workers=20))
def mapped() -> None:
    wait([*nap.map([0.01, 1.05, 0.02]), *fails.map([0.01, 1.05])])


@flow
def kinds(seed: int) -> None:
    """One of everything."""
    fails_at_first(0.4, return_state=True)
    fails(1.05, return_state=True)
    for _ in range(2):
        cached(f"key-{seed}", 1.05)
    times_out(return_state=True)
    for kind in ("skipped", "failed in name", "completed in name", "accents", "cancelled"):
        named(kind, return_state=True)
    outer(0.6)
    child()
    mapped()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=40))
def burst(seed: int, number: int) -> None:
    """So many tasks at once, short and long, some of which fail, are retried or rolled back."""
    chance = random.Random(seed)
    futures: list[Any] = []
    for place in range(number):
        which = chance.random()
        seconds = chance.choice([0.0, 0.05, 0.3, 1.02, 1.2])
        if which < 0.75:
            futures.append(nap.submit(seconds))
        elif which < 0.85:
            futures.append(fails.submit(seconds))
        elif which < 0.93:
            futures.append(fails_at_first.submit(seconds / 3))
        else:
            futures.append(cached.submit(f"{seed}-{place % 5}", seconds))
    print("submitted", flush=True)
    wait(futures)


@flow
def never_ends() -> None:
    """Until its process is killed."""
    waiting = nap.submit(600)
    time.sleep(2)  # until the server has heard of it
    print("running", flush=True)
    waiting.wait()


def one_of_everything(seed: int) -> None:
    kinds(seed)
    rolled_back(return_state=True)
    again()
    asyncio.run(in_async())
    asyncio.run(cut_short(return_state=True))  # type: ignore[arg-type]
    nap(1.05)  # outside of any flow
    fails(0.01, return_state=True)


if __name__ == "__main__":
    name, *given = sys.argv[1:]
    {"kinds": one_of_everything, "burst": burst, "never_ends": never_ends}[name](*map(int, given))

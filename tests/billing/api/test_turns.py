"""Large bodies take turns: so many bytes are in work at a time, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.api.turns import LARGE_BYTES, Turn, Turns
from tests.billing.api.client import Client, assert_problem, running
from tests.conftest import NewDatabase
from tests.world import OCTOBER, World

ROOM = 10


async def _let_others_go_on() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@given(st.lists(st.tuples(st.integers(1, 14), st.booleans()), max_size=20))
def test_no_more_is_in_work_than_there_is_room_and_all_get_their_turn(
    bodies: list[tuple[int, bool]],
) -> None:
    """In the order in which they came; some give up while they wait, or just as their turn comes."""

    async def story() -> None:
        turns, working, let_in = Turns(ROOM), {}, []

        async def work(number: int, size: int, done: asyncio.Event) -> None:
            taken = await turns.take(size)
            working[number] = taken
            let_in.append(number)
            assert sum(working.values()) <= ROOM
            try:
                await done.wait()
            finally:
                del working[number]
                turns.give_back(taken)

        ends = [asyncio.Event() for _ in bodies]
        tasks = [
            asyncio.create_task(work(number, size, ends[number])) for number, (size, _) in enumerate(bodies)
        ]
        await _let_others_go_on()
        for number, (_, gives_up) in enumerate(bodies):
            if gives_up:
                tasks[number].cancel()
                if number % 2:
                    await _let_others_go_on()
        while any(not task.done() for task in tasks):
            await _let_others_go_on()
            assert working or all(task.done() for task in tasks), "there is room, and nobody is let in"
            for number in list(working):
                ends[number].set()
        assert let_in == sorted(let_in)
        assert await turns.take(ROOM) == ROOM, "all of the room is there again"

    asyncio.run(story())


def test_a_turn_is_for_what_a_body_stands_for() -> None:
    async def story() -> None:
        turns = Turns(ROOM * LARGE_BYTES)
        plain, zipped = Turn(turns), Turn(turns, 16)
        assert not plain.is_needed(LARGE_BYTES) and plain.is_needed(LARGE_BYTES + 1)
        assert not zipped.is_needed(LARGE_BYTES // 16) and zipped.is_needed(LARGE_BYTES // 16 + 1)
        await zipped.wait(LARGE_BYTES // 2)
        assert not zipped.is_needed(LARGE_BYTES), "it has it"
        await plain.wait(2 * LARGE_BYTES)
        for turn in (plain, zipped, plain):
            turn.end()
        assert await turns.take(ROOM * LARGE_BYTES) == ROOM * LARGE_BYTES

    asyncio.run(story())


@pytest.fixture
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    world.account("acme")
    with running(world) as client:
        yield client


def _bodies(quantity: int, events: int) -> list[bytes]:
    """Each some megabytes, of runs of its own."""
    made = []
    for number in range(quantity):
        batch = [
            {
                "account": "acme",
                "task_run_id": f"run-{number}-{each}",
                "state": "COMPLETED",
                "started_at": "2026-10-05T00:00:00Z",
                "ended_at": "2026-10-05T00:00:02Z",
                "task": "x" * 200,
            }
            for each in range(events)
        ]
        made.append(msgspec.json.encode(batch))
    return made


def test_more_large_bodies_than_there_is_room_for_are_all_taken(client: Client) -> None:
    """Plain, zipped, and without a length; beside them a small one, which waits for nobody."""
    client.app.state.door.turns = Turns(3 * LARGE_BYTES)
    bodies = _bodies(9, 4_000)
    assert min(map(len, bodies)) > LARGE_BYTES
    headers = client.authorization() | {"Content-Type": "application/json"}

    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1 << 18):
            yield body[at : at + (1 << 18)]

    async def send(http: httpx.AsyncClient) -> list[httpx.Response]:
        sent: list[Awaitable[httpx.Response]] = []
        for number, body in enumerate(bodies):
            if number % 3 == 0:
                sent.append(http.post("/v1/events", content=body, headers=headers))
            elif number % 3 == 1:
                zipped = headers | {"Content-Encoding": "gzip"}
                sent.append(http.post("/v1/events", content=gzip.compress(body), headers=zipped))
            else:
                sent.append(http.post("/v1/events", content=in_chunks(body), headers=headers))
        return await asyncio.gather(*sent)

    answers = client.run(send)
    assert [answer.json()["accepted"] for answer in answers] == [4_000] * 9
    store = client.world.service.store
    assert store.usage("acme", OCTOBER.start, OCTOBER.end).counts.billable == 36_000


def test_a_large_body_that_does_not_come_gives_its_turn_to_others(client: Client) -> None:
    client.app.state.door.turns = Turns(2 * LARGE_BYTES, seconds=0.05)
    headers = client.authorization() | {"Content-Type": "application/json"}
    (body,) = _bodies(1, 4_000)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"[" + b" " * (LARGE_BYTES + 1)
        await asyncio.Event().wait()

    def send(content: Callable[[], AsyncIterator[bytes]] | bytes) -> httpx.Response:
        made = content if isinstance(content, bytes) else content()
        return client.run(lambda http: http.post("/v1/events", content=made, headers=headers))

    assert_problem(
        send(stuck), 408, says="did not come within 0.05 s of its turn; send it in smaller batches"
    )
    assert send(body).json()["accepted"] == 4_000


def test_small_bodies_do_not_wait(client: Client) -> None:
    turns = client.app.state.door.turns = Turns(LARGE_BYTES)

    async def send(http: httpx.AsyncClient) -> httpx.Response:
        await turns.take(LARGE_BYTES)  # all of the room is taken, for good
        (body,) = _bodies(1, 1_000)
        assert len(body) < LARGE_BYTES
        return await http.post("/v1/events", content=body, headers=client.authorization())

    assert client.run(send).json()["accepted"] == 1_000

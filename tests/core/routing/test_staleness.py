"""What was found out long ago is not relied on: a loop, or a machine, may have stood still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest

from asgi import until
from hawkapi_sqlalchemy.core import DatabaseConfig, ReplicaPolicy
from hawkapi_sqlalchemy.core.engine import create_engine
from hawkapi_sqlalchemy.core.routing import primary, replica, replica_set
from hawkapi_sqlalchemy.core.routing.replica import Replica
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet

NAMES = ["primary", "replica:0", "replica:1"]
# Seldom, so that no look of the background's comes in between.
POLICY = ReplicaPolicy(probe_interval=20, probe_timeout=2, max_backoff=100)


class Clock:
    """The monotonic clock, which a test may put forward; and what is asked of replicas by it."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.looks: list[str] = []
        self.broken: set[str] = set()

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    told = SimpleNamespace(monotonic=clock.monotonic, time=time.time)
    for module in (primary, replica, replica_set):
        monkeypatch.setattr(module, "time", told)

    async def ask(self: Replica) -> None:
        clock.looks.append(self.engine.name)
        # An answer never comes in the same turn of the loop.
        await asyncio.sleep(0)
        if self.engine.name in clock.broken:
            self.condition.not_answering("refused")
        else:
            self.condition.found_well()

    async def look(self: primary.Primary) -> None:
        del self

    monkeypatch.setattr(Replica, "_ask", ask)
    monkeypatch.setattr(primary.Primary, "look", look)
    return clock


def new_set() -> ReplicaSet:
    first, *others = (
        create_engine(DatabaseConfig(f"postgresql+asyncpg://host-{name}/shop"), name=name)
        for name in NAMES
    )
    return ReplicaSet(first, others, policy=POLICY, wait=0.05)


@pytest.fixture
async def replicas(clock: Clock) -> AsyncIterator[ReplicaSet]:
    """Two replicas that are up."""
    made = new_set()
    await made.look()
    assert sorted(clock.looks) == NAMES[1:]
    clock.looks.clear()
    yield made
    await made.dispose()


async def chosen(replicas: ReplicaSet) -> str:
    engine = replicas.engine_now(None, ())
    return (engine or await replicas.engine(None, ())).name


async def test_what_was_found_out_just_now_is_relied_on(replicas, clock):
    for _ in range(20):
        assert replicas.engine_now(None, ()) is not None
    assert clock.looks == []


async def test_a_session_after_a_standstill_waits_for_a_new_look(replicas, clock):
    clock.ahead = 3 * 20 + 2 * 2 + 1
    assert replicas.engine_now(None, ()) is None
    assert await chosen(replicas) in NAMES[1:]
    assert sorted(clock.looks) == NAMES[1:]
    # And the next one need not.
    assert replicas.engine_now(None, ()) is not None
    assert len(clock.looks) == 2


async def test_one_that_went_down_meanwhile_gets_no_session(replicas, clock):
    clock.ahead = 1000
    clock.broken.add("replica:0")
    assert {await chosen(replicas) for _ in range(20)} == {"replica:1"}


async def test_many_sessions_after_a_standstill_wait_for_one_look(replicas, clock):
    clock.ahead = 1000
    found = await asyncio.gather(*(chosen(replicas) for _ in range(50)))
    assert set(found) == set(NAMES[1:])
    assert sorted(clock.looks) == NAMES[1:]


async def test_one_that_is_down_is_given_the_time_of_its_backoff(replicas, clock):
    clock.broken.add("replica:0")
    clock.ahead = 100
    await replicas.look()
    # From suspect to down.
    await until(lambda: clock.looks.count("replica:0") == 2)
    clock.ahead += 3 * 20 + 2 * 2 - 10
    assert replicas.engine_now(None, ()) is not None
    assert clock.looks.count("replica:1") == 1


async def test_who_is_cancelled_while_waiting_for_a_look_does_not_end_it(
    replicas, clock, monkeypatch
):
    go_on = asyncio.Event()
    ask = Replica._ask

    async def slowly(self: Replica) -> None:
        await go_on.wait()
        await ask(self)

    monkeypatch.setattr(Replica, "_ask", slowly)
    clock.ahead = 1000
    impatient, patient = (asyncio.create_task(chosen(replicas)) for _ in range(2))
    await until(lambda: all(each._looks.is_under_way for each in replicas._replicas))
    impatient.cancel()
    await until(impatient.done)
    assert impatient.cancelled()
    go_on.set()
    assert await patient in NAMES[1:]


async def test_another_loop_that_runs_at_the_same_time_is_refused(replicas, clock):
    def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="the replicas are in use by another running event"):
            asyncio.run(chosen(replicas))

    await asyncio.to_thread(elsewhere)
    assert replicas.engine_now(None, ()) is not None
    assert clock.looks == []


@pytest.fixture
def loops() -> Iterator[list[asyncio.AbstractEventLoop]]:
    made = [asyncio.new_event_loop() for _ in range(2)]
    yield made
    for loop in made:
        loop.close()


def test_another_loop_looks_anew(clock, loops):
    replicas = new_set()
    first, second = loops
    assert first.run_until_complete(chosen(replicas)) in NAMES[1:]
    assert sorted(clock.looks) == NAMES[1:]
    assert second.run_until_complete(chosen(replicas)) in NAMES[1:]
    second.run_until_complete(replicas.dispose())


def test_the_set_can_be_left_when_its_loop_was_closed_in_the_middle_of_a_look(
    clock, loops, monkeypatch
):
    loop, other = loops
    replicas = new_set()
    answering = Replica._ask

    async def hang(self: Replica) -> None:
        clock.looks.append(self.engine.name)
        await asyncio.Event().wait()

    monkeypatch.setattr(Replica, "_ask", hang)
    loop.call_soon(replicas.start)
    loop.run_until_complete(until(lambda: len(clock.looks) == 2))
    loop.close()
    replicas.stop()
    monkeypatch.setattr(Replica, "_ask", answering)
    assert other.run_until_complete(chosen(replicas)) in NAMES[1:]
    other.run_until_complete(replicas.dispose())

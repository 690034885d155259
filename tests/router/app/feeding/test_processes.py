"""A keeper and several workers: announces, drains, caches, statistics, and the death of any of them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab.messages import OK
from tests.lab.nodes import Node
from tests.lab.scripts import always, held_by_the_test
from tests.lab.waiting import until, until_asked
from tests.router.app.feeding.program import Program, asked
from uwsgi_router.protocol.cache import CacheCommand, encode_command
from uwsgi_router.router.config.model import CacheConfig

Start = Callable[..., Awaitable[Program]]


def node(**options: Any) -> Node:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return Node(listener, kind="uwsgi", **options)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    programs: list[Program] = []

    async def started(workers: int = 2, **options: Any) -> Program:
        programs.append(Program(tmp_path, workers, **options))
        return await programs[-1].start()

    yield started
    for program in programs:
        await program.stop()


@pytest.fixture
async def served() -> AsyncIterator[Node]:
    one = node(answer=always(OK, close=True))
    yield one
    await one.close()


async def announced(program: Program, one: Node, **fields: Any) -> None:
    program.announce(one.address, **fields)
    numbers = range(program.count)
    await until(lambda: all(program.knows(number, one.address) for number in numbers))


async def test_a_node_with_fewer_cores_than_workers_is_taken_where_connections_are_configured(
    start: Start, served: Node
) -> None:
    program = await start(2, backend_connections=2)
    await announced(program, served, proto="http", cores=1)


async def test_every_worker_serves_by_one_announce(start: Start, served: Node) -> None:
    program = await start(3)
    await announced(program, served)
    for number in range(3):
        assert (await program.ask(number)).endswith(b"ok")
        worker = program.workers[number]
        assert worker is not None
        assert worker.gateways[0].connections.ids.endswith(f"-{number + 1}")
    await until(lambda: served.connections == 3)

    async def all_are_counted() -> bool:
        stats = await program.stats()
        return bool(stats["subscriptions"][0]["nodes"][0]["requests"] == 3)

    await until_asked(all_are_counted)


async def test_statistics_add_the_workers_up_and_show_each(start: Start, served: Node) -> None:
    program = await start(2)
    await announced(program, served)
    for number in (0, 0, 1):
        await program.ask(number)
    await program.counted(3)
    stats = await program.stats()
    assert [one["id"] for one in stats["workers"]] == [1, 2]
    assert [one["pid"] for one in stats["workers"]] == [1_000, 1_001]
    assert [one["requests"] for one in stats["workers"]] == [2, 1]
    assert next(reversed(stats)) == "workers"
    assert stats["subscriptions"][0]["hits"] == 3
    before = await program.metrics()
    await program.lose_worker(0)
    assert program.keeper is not None
    owner = program.keeper.feeding.owner
    assert owner is not None
    await until(lambda: len(owner.workers) == 1)
    after = await program.metrics()
    fallen = [
        name for name, value in before.items() if "_total" in name and after.get(name, 0.0) < value
    ]
    assert fallen == []
    await program.new_worker(0)
    await program.ask(0)
    await program.counted(4)
    assert [one["requests"] for one in (await program.stats())["workers"]] == [1, 1]


async def test_a_drain_holds_in_all_workers_and_waits_for_all(start: Start) -> None:
    program = await start(2)
    slow = node(script=held_by_the_test)
    await announced(program, slow)
    loop = asyncio.get_running_loop()
    asking = loop.create_task(program.ask(1))
    peer = await slow.next()
    draining = loop.create_task(program.control(do="drain", node=slow.address, timeout=10))
    await until(lambda: all(_drained(program, number, slow) for number in range(2)))
    assert not draining.done()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nlate")
    peer.close()
    answer = await draining
    assert (answer["ok"], answer["nodes"], answer["running"]) == (True, 1, 0)
    assert (await asking).endswith(b"late")
    assert (await program.ask(0)) == b""
    assert (await program.control(do="enable", node=slow.address))["ok"]
    await until(lambda: not any(_drained(program, number, slow) for number in range(2)))
    await slow.close()


def _drained(program: Program, number: int, one: Node) -> bool:
    worker = program.workers[number]
    assert worker is not None
    (table,) = worker.tables
    found = table.registry.pools[b"example.com"].get(one.address)
    return found is not None and found.drained


async def test_status_shows_the_requests_of_all_workers(start: Start) -> None:
    program = await start(2)
    slow = node(script=held_by_the_test)
    await announced(program, slow)
    loop = asyncio.get_running_loop()
    asking = [loop.create_task(program.ask(number)) for number in (0, 1)]
    peers = [await slow.next(), await slow.next()]
    assert program.keeper is not None
    operator = program.keeper.operator()
    await until(lambda: [one.running for one in operator.status()] == [2])
    (shown,) = await operator.running()
    assert (shown.running, shown.waiting, shown.streams, shown.tunnels) == (2, 2, 0, 0)
    await asyncio.sleep(0.02)
    # Who asks while others do gets the same answer.
    (first,), (later,) = await asyncio.gather(operator.running(), operator.running(b"example.com"))
    assert first == later
    assert first.waiting_since is not None
    assert first.waiting_since >= 0.02
    for peer in peers:
        peer.close()
    await asyncio.gather(*asking)
    await until(lambda: [one.running for one in operator.status()] == [0])
    assert [one.waiting for one in await operator.running()] == [0]
    await slow.close()


async def test_configured_nodes_are_steered_and_counted_in_all_workers(start: Start) -> None:
    one, other = node(answer=always(OK, close=True)), node(answer=always(OK, close=True))
    program = await start(2, subscription_servers=(), to=(one.address, other.address))
    assert (await program.control(do="drain", node=one.address, timeout=5))["running"] == 0
    for _ in range(2):
        assert (await program.ask(0)).endswith(b"ok")
        assert (await program.ask(1)).endswith(b"ok")
    assert (one.connections, other.connections) == (0, 4)
    assert (await program.control(do="enable", node=one.address))["ok"]
    assert (await program.control(do="weight", node=one.address, weight=3))["ok"]
    workers = [worker for worker in program.workers if worker is not None]
    await until(lambda: all(_weights(worker) == [3, 1] for worker in workers))
    for _ in range(4):
        await program.ask(0)
    assert (one.connections, other.connections) == (3, 5)
    assert program.keeper is not None
    operator = program.keeper.operator()
    await until(lambda: [status.requests for status in operator.status()] == [3, 5])
    await program.lose_worker(1)
    await program.new_worker(1)
    workers = [worker for worker in program.workers if worker is not None]
    assert all(_weights(worker) == [3, 1] for worker in workers)
    await one.close()
    await other.close()


def _weights(instance: Any) -> list[int]:
    return [node.weight for node in instance.gateways[0].configured_nodes]


async def test_a_dead_keeper_costs_no_request_and_the_next_one_knows_all(
    start: Start, served: Node
) -> None:
    program = await start(2)
    await announced(program, served, weight=4)
    drained = node(answer=always(OK, close=True))
    await announced(program, drained)
    await program.control(do="drain", node=drained.address)
    for number in (0, 1, 1):
        await program.ask(number)
    await program.counted(3)
    await program.lose_worker(0)
    await program.new_worker(0)
    before = await program.metrics()
    await program.lose_keeper()
    for number in (0, 1):
        assert (await program.ask(number)).endswith(b"ok")
    await program.new_keeper()
    await program.counted(5)
    after = await program.metrics()
    assert [
        (name, value, after.get(name, 0.0))
        for name, value in before.items()
        if "_total" in name and after.get(name, 0.0) < value
    ] == []
    assert program.keeper is not None
    status = {one.node: one for one in program.keeper.operator().status()}
    assert status[served.address].weight == 4
    assert status[drained.address].drained
    third = node(answer=always(OK, close=True))
    await announced(program, third)
    await third.close()
    await drained.close()


async def test_requests_are_held_for_nodes_in_every_worker(start: Start, served: Node) -> None:
    program = await start(2, hold=5.0)
    loop = asyncio.get_running_loop()
    asking = [loop.create_task(program.ask(number)) for number in (0, 1)]
    workers = [worker for worker in program.workers if worker is not None]
    await until(lambda: all(one.gateways[0].counters.holding for one in workers))
    program.announce(served.address)
    for answer in await asyncio.gather(*asking):
        assert answer.endswith(b"ok")


async def test_cheap_mode_begins_and_ends_in_every_worker(start: Start, served: Node) -> None:
    program = await start(2, cheap=True)
    workers = [worker for worker in program.workers if worker is not None]
    assert all(one.gateways[0].cheap for one in workers)
    assert (await program.stats())["cheap"] == 1
    await announced(program, served)
    await until(lambda: not any(one.gateways[0].cheap for one in workers))
    assert (await program.stats())["cheap"] == 0


async def test_cache_writes_reach_every_worker_and_the_next_keeper(
    start: Start, tmp_path: Path, served: Node
) -> None:
    path = f"{tmp_path}/caches"
    program = await start(
        2,
        process={"named_caches": (CacheConfig("nodes", 10),), "cache_sockets": (path,)},
        subscription_servers=(),
        use_cache="nodes",
    )
    assert (await program.ask(0)) == b""

    async def command(name: Any, key: bytes, value: bytes = b"") -> bytes:
        packet = encode_command(CacheCommand(name, key, size=len(value)))
        return await asked(path, packet + value)

    async def answered(number: int) -> bool:
        return (await program.ask(number)).endswith(b"ok")

    async def refused(number: int) -> bool:
        return not await program.ask(number)

    await command("update", b"example.com", served.address.encode())
    for number in (0, 1):
        await until_asked(partial(answered, number))
    await program.lose_keeper()
    await program.new_keeper()
    assert (await command("get", b"example.com")).endswith(served.address.encode())
    await command("del", b"example.com")
    for number in (0, 1):
        await until_asked(partial(refused, number))

"""What one process decides all others know, and what they find out it knows: over sockets, in one event loop."""

import socket
from collections.abc import Callable

import pytest

from tests.lab.log import Log
from tests.lab.messages import KEY
from tests.lab.waiting import until
from tests.router.table.feed.shared import NAME, NODE, Copy, Keeper, shared
from uwsgi_router.router.table.feed.fed_table import FedTable
from uwsgi_router.router.table.feed.frames import FORMAT, FeedReader, encode
from uwsgi_router.router.table.feed.owner import FeedLimits
from uwsgi_router.router.table.feed.parts import Worker
from uwsgi_router.subscriptions.node import READY
from uwsgi_router.subscriptions.refusal import Refused

OTHER = "10.0.0.2:80"


@pytest.fixture
async def two(closing: Callable[..., None]) -> tuple[Keeper, list[Copy]]:
    keeper, copies = await shared(2)
    closing(keeper, *copies)
    return keeper, copies


async def everywhere(keeper: Keeper, copies: list[Copy], name: str = NODE) -> None:
    await until(lambda: all(copy.find(name) is not None for copy in copies))


# --- What the owner says ---


async def test_an_announce_reaches_every_copy(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, copies = two
    keeper.announce(weight=3, backup=1, modifier1=5, proto="http", cores=4, vassal=b"shop.ini")
    await everywhere(*two)
    for copy in copies:
        node = copy.node()
        assert node is copy.registry.choose(KEY)
        assert (node.weight, node.backup, node.modifier1, node.proto) == (3, 1, 5, "http")
        assert (node.cores, node.vassal, node.last_seen) == (
            4,
            b"shop.ini",
            keeper.node().last_seen,
        )
        assert copy.events == ["PoolAdded", "NodeAdded"]


async def test_who_joins_later_gets_all_that_is_there(closing: Callable[..., None]) -> None:
    keeper = Keeper()
    keeper.announce()
    keeper.announce(OTHER)
    keeper.table.report(keeper.registry.drain(keeper.node(OTHER)))
    keeper.table.report(keeper.registry.set_weight(keeper.node(), 7))
    keeper.announce("10.0.0.3:80", b"left.example")
    keeper.leave("10.0.0.3:80", b"left.example")
    copy = await Copy().join(keeper)
    closing(keeper, copy)
    assert copy.names() == [NODE, OTHER]
    assert copy.node(OTHER).drained
    assert copy.node().weight == 7
    assert copy.registry.was_announced(b"left.example", copy.loop.time())
    assert not copy.registry.was_announced(b"never.example", copy.loop.time())


async def test_an_announce_again_wakes_who_waits_and_is_short(
    two: tuple[Keeper, list[Copy]],
) -> None:
    keeper, copies = two
    keeper.announce()
    await everywhere(*two)
    keeper.announce()
    await until(lambda: all(copy.events[-1] == "NodeRefreshed" for copy in copies))
    assert [copy.node().last_seen for copy in copies] == [keeper.node().last_seen] * 2
    keeper.announce(weight=9)
    await until(lambda: all(copy.node().weight == 9 for copy in copies))


async def test_what_leaves_is_chosen_nowhere(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, copies = two
    keeper.announce()
    await everywhere(*two)
    keeper.leave()
    await until(lambda: all(copy.registry.empty and not copy.names() for copy in copies))
    for copy in copies:
        assert copy.events[-3:] == ["NodeFailed", "NodeRemoved", "PoolRemoved"]
        assert copy.registry.was_announced(KEY, copy.loop.time())
    await until(lambda: not keeper.names())


async def test_a_stale_node_is_the_last_resort_everywhere(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, copies = two
    keeper.announce()
    await everywhere(*two)
    keeper.table.report(keeper.registry.sweep(keeper.loop.time() + 20))
    await until(lambda: all(copy.node().stale for copy in copies))
    assert all(copy.registry.choose(KEY) is copy.node() for copy in copies)
    keeper.announce()
    await until(lambda: all(copy.node().rank == READY for copy in copies))
    keeper.table.report(keeper.registry.sweep(keeper.loop.time() + 20))
    keeper.table.report(keeper.registry.sweep(keeper.loop.time() + 80))
    await until(lambda: not any(copy.names() for copy in copies) and not keeper.names())


async def test_health_is_the_same_everywhere(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, copies = two
    keeper.announce()
    await everywhere(*two)
    keeper.table.report(keeper.registry.health.unhealthy(keeper.node(), "it says 503"))
    await until(lambda: all(copy.node().check_failure == "it says 503" for copy in copies))
    assert all(copy.registry.choose(KEY) is None for copy in copies)
    keeper.table.report(keeper.registry.health.healthy(keeper.node()))
    await until(lambda: all(copy.registry.choose(KEY) is copy.node() for copy in copies))
    assert all(copy.events[-1] == "NodeHealthy" for copy in copies)


# --- What the copies report ---


async def test_a_failed_connect_of_one_concerns_all(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    node = one.node()
    node.reference += 1
    node.connect_started()
    one.table.report(one.registry.connect_failed(node, one.loop.time(), timed_out=True))
    assert one.registry.choose(KEY) is None, "not even before the owner has heard of it"
    await until(lambda: other.registry.choose(KEY) is None)
    assert keeper.node().connecting == 0
    assert keeper.node().suspect
    assert keeper.node().failcnt == 1
    one.release(node)
    await until(lambda: not keeper.names() and not one.names() and not other.names())


async def test_a_failure_from_before_the_last_announce_marks_nothing(
    two: tuple[Keeper, list[Copy]],
) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    node = one.node()
    node.connect_started()
    one.registry.connect_failed(node, one.loop.time(), timed_out=False)
    keeper.announce(later=0.01)
    await until(lambda: keeper.node().failcnt == 1)
    await until(lambda: one.registry.choose(KEY) is node)
    assert keeper.registry.choose(KEY) is keeper.node()
    assert other.registry.choose(KEY) is other.node()


async def test_failures_of_all_together_eject_a_node(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    for _ in range(3):
        one.registry.health.request_failed(one.node(), one.loop.time())
    await until(lambda: other.node().fails == 3)
    for _ in range(2):
        other.registry.health.request_failed(other.node(), other.loop.time())
    await until(lambda: one.node().ejected and other.node().ejected and keeper.node().ejected)
    other.registry.health.request_answered(other.node())
    await until(lambda: not (one.node().ejected or other.node().ejected))
    assert (keeper.node().fails, one.node().fails) == (0, 0)


async def test_the_end_of_an_ejection_is_told(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    for _ in range(5):
        keeper.table.report(
            keeper.registry.health.request_failed(keeper.node(), keeper.loop.time())
        )
    await until(lambda: one.node().ejected and other.node().ejected)
    keeper.table.report(keeper.registry.sweep(keeper.loop.time() + 2))
    await until(lambda: not one.node().ejected and not other.node().ejected)


async def test_counters_are_added_up_and_those_of_ended_workers_stay(
    two: tuple[Keeper, list[Copy]],
) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    one.serve(count=3)
    other.serve(count=4)
    for _ in range(5):
        one.registry.choose(KEY)
    await until(lambda: keeper.node().requests == 7 and keeper.registry.pools[KEY].hits == 5)
    assert (keeper.node().tx, keeper.node().rx, keeper.node().last_requests) == (700, 70, 7)
    one.close()
    await until(lambda: len(keeper.owner.workers) == 1)
    other.serve()
    await until(lambda: keeper.node().requests == 8)
    assert keeper.registry.pools[KEY].hits == 5


# --- Who holds a node ---


async def test_a_node_that_left_stays_until_no_worker_holds_it(
    two: tuple[Keeper, list[Copy]],
) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    node = one.node()
    # Nobody has told the owner yet.
    node.reference += 1
    keeper.leave()
    assert keeper.names() == [NODE], "each worker has to say first that it holds nothing"
    await until(lambda: keeper.node().reference == 1)
    one.release(node)
    await until(lambda: not keeper.names() and not one.names() and not other.names())


async def test_a_drain_waits_for_requests_that_the_owner_had_not_heard_of(
    two: tuple[Keeper, list[Copy]],
) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    one.node().reference += 2
    keeper.table.report(keeper.registry.drain(keeper.node()))
    assert keeper.node().reference == 2, "one for each worker, until it has answered"
    await until(lambda: other.registry.choose(KEY) is None and one.registry.choose(KEY) is None)
    await until(lambda: keeper.node().reference == 2)
    assert "NodeIdle" not in keeper.events
    one.release(one.node(), 2)
    await until(lambda: keeper.events[-1] == "NodeIdle")
    assert keeper.node().reference == 0
    keeper.table.report(keeper.registry.enable(keeper.node()))
    await until(lambda: one.registry.choose(KEY) is one.node())


async def test_what_a_dead_worker_held_is_free(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    one.node().reference += 3
    await until(lambda: keeper.node().reference == 3)
    keeper.leave()
    one.close()
    await until(lambda: not keeper.names() and not other.names())


async def test_a_worker_that_is_stuck_holds_up_a_drain_and_nothing_else(
    closing: Callable[..., None],
) -> None:
    keeper, (copy,) = await shared(1)
    closing(keeper, copy)
    keeper.announce()
    await everywhere(keeper, [copy])
    ours, theirs = socket.socketpair()
    keeper.owner.attach(theirs, Worker(7))
    keeper.table.report(keeper.registry.drain(keeper.node()))
    await until(lambda: copy.registry.choose(KEY) is None)
    await until(lambda: keeper.node().reference == 1)
    ours.close()
    await until(lambda: keeper.node().reference == 0)


# --- Limits ---


async def test_a_worker_that_does_not_read_costs_bounded_memory_and_catches_up(
    closing: Callable[..., None], log: Log
) -> None:
    limits = FeedLimits(behind=20_000, snapshot=10_000, interval=0.01)
    keeper = Keeper(limits)
    copy = Copy(0, limits)
    closing(keeper, copy)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    keeper.owner.attach(theirs, copy.worker)
    (channel,) = [one.channel for one in keeper.owner._copies.values()]
    assert channel is not None
    for number in range(500):
        keeper.announce(f"10.0.0.{number % 250}:{80 + number // 250}", b"%d.example" % number)
        keeper.owner.flush()
    assert channel.backlog < 30_000
    assert [line for line in log.lines if "does not read" in line]
    copy.feed.attach(ours)
    await until(lambda: len(copy.registry.pools) == 500)
    keeper.announce(OTHER)
    await everywhere(keeper, [copy], OTHER)


NONSENSE = {
    "too long": b"\xff\xff\xff\xff",
    "no list": b"\0\0\0\x02{}",
    "another format": encode([("", "hello", 999_999)]),
    "too few values": encode([(NAME, "held", 1)]),
    "no number": encode([(NAME, "held", 1, "x", 0)]),
    "an unknown word": encode([(NAME, "hold", 1)]),
    "no order": encode([(NAME, "held", None, 1, 0)]),
    "no rows": encode([(NAME, "counts", 7)]),
    "short rows": encode([(NAME, "counts", [[1, 2]])]),
    "a time that is none": encode([(NAME, "failed", 1, float("nan"), False)]),
}


@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE)
async def test_a_peer_that_speaks_nonsense_is_fed_no_more(
    two: tuple[Keeper, list[Copy]], log: Log, sent: bytes
) -> None:
    keeper, copies = two
    keeper.announce()
    await everywhere(keeper, copies)
    ours, theirs = socket.socketpair()
    with ours:
        keeper.owner.attach(theirs, Worker(9))
        ours.send(sent)
        await until(lambda: len(keeper.owner.workers) == 2)
    assert [line for line in log.lines if line.startswith("error ")]
    keeper.announce(OTHER)
    await everywhere(keeper, copies, OTHER)


@pytest.mark.parametrize(
    "sent",
    [
        encode([(NAME, "node", [1, 2, 3], 0)]),
        encode([(NAME, "seen", [[1]])]),
        encode([("", "begin")]),
        encode([(NAME, "drop", -1)]),
        encode([(NAME, "expected", "no list")]),
        encode([(NAME, "expected", [1])]),
    ],
)
async def test_an_owner_that_speaks_nonsense_is_not_listened_to(log: Log, sent: bytes) -> None:
    copy = Copy()
    ours, theirs = socket.socketpair()
    with theirs:
        copy.feed.attach(ours)
        theirs.send(sent)
        await until(lambda: not copy.feed.has_owner)
    assert [line for line in log.lines if "makes no sense" in line]
    copy.close()


async def test_connections_to_a_node_are_shared_out(closing: Callable[..., None]) -> None:
    keeper = Keeper()
    keeper.registry.processes = 3
    copies = []
    for number in range(3):
        copy = Copy(number)
        copy.registry.processes, copy.registry.number = 3, number
        copies.append(await copy.join(keeper))
    closing(keeper, *copies)
    keeper.announce(proto="http", cores=8)
    await everywhere(keeper, copies)
    assert [copy.node().connections for copy in copies] == [3, 3, 2]
    assert [copy.node().cores for copy in copies] == [8, 8, 8]
    with pytest.raises(Refused, match="2 connections at once, and 3 workers share them"):
        keeper.announce(OTHER, proto="http", cores=2)
    keeper.announce(OTHER, proto="http", cores=0)
    await everywhere(keeper, copies, OTHER)
    assert [copy.node(OTHER).connections for copy in copies] == [0, 0, 0]
    keeper.announce("10.0.0.3:80", cores=1)
    await everywhere(keeper, copies, "10.0.0.3:80")


# --- Another owner ---


async def test_keys_that_only_an_earlier_configuration_expected_are_given_up_everywhere(
    closing: Callable[..., None],
) -> None:
    old = await Copy(expected_keys=("gone.example", "left.example")).join(before := Keeper())
    before.announce(key=b"left.example")
    before.leave(key=b"left.example")
    before.announce(key=b"gone.example")
    await until(lambda: old.find(key=b"gone.example") is not None)
    before.close()
    fresh = Keeper(expected_keys=("stays.example",))
    closing(old, fresh)
    fresh.owner.expect()
    ours, theirs = socket.socketpair()
    fresh.owner.attach(theirs, old.worker)
    old.feed.attach(ours)
    assert await fresh.owner.recover()
    worker = await Copy(1, expected_keys=("stays.example",)).join(fresh)
    closing(worker)
    fresh.leave(key=b"gone.example")
    await until(lambda: worker.find(key=b"gone.example") is None)
    for member in (fresh, worker):
        now = member.loop.time()
        known = [
            member.registry.was_announced(key, now)
            for key in (b"stays.example", b"gone.example", b"left.example")
        ]
        assert known == [True, False, False]


async def test_a_new_owner_takes_the_table_from_a_worker(
    closing: Callable[..., None], two: tuple[Keeper, list[Copy]]
) -> None:
    keeper, (one, other) = two
    keeper.announce(weight=2)
    keeper.announce(OTHER)
    keeper.announce("10.0.0.3:80", b"left.example")
    keeper.leave("10.0.0.3:80", b"left.example")
    keeper.table.report(keeper.registry.drain(keeper.node(OTHER)))
    await everywhere(keeper, [one, other], OTHER)
    third = await Copy(2).join(keeper)
    third.serve(count=5)
    one.serve(count=2)
    other.serve(count=1)
    await until(lambda: keeper.node().requests == 8)
    third.close()
    await until(lambda: len(keeper.owner.workers) == 2)
    keeper.announce(weight=2)
    await until(lambda: one.events[-1] == "NodeRefreshed")
    nodes = [one.node(), one.node(OTHER), other.node()]
    held = other.node()
    held.reference += 1
    keeper.close()
    await until(lambda: not one.feed.has_owner and not other.feed.has_owner)
    one.serve(count=1)
    assert one.registry.choose(KEY) is one.node()

    fresh = Keeper()
    closing(fresh)
    fresh.owner.expect()
    for copy in (one, other):
        ours, theirs = socket.socketpair()
        fresh.owner.attach(theirs, copy.worker)
        copy.feed.attach(ours)
    assert await fresh.owner.recover()
    assert fresh.names() == [NODE, OTHER]
    assert (fresh.node().weight, fresh.node(OTHER).drained) == (2, True)
    assert fresh.registry.was_announced(b"left.example", fresh.loop.time())
    await until(lambda: fresh.node().requests == 9)
    await until(lambda: fresh.node().reference == 1)
    fresh.announce(OTHER, weight=5)
    await until(lambda: one.node(OTHER).weight == other.node(OTHER).weight == 5)
    assert nodes == [one.node(), one.node(OTHER), other.node()]
    fresh.leave()
    await until(lambda: one.registry.choose(KEY) is None)
    assert fresh.find() is not None, "a request still runs there"
    other.release(held)
    await until(lambda: fresh.find() is None)


async def test_a_worker_reports_nothing_to_an_owner_that_has_not_begun(
    closing: Callable[..., None], two: tuple[Keeper, list[Copy]]
) -> None:
    keeper, (one, _) = two
    keeper.announce()
    await everywhere(*two)
    one.serve(count=2)
    await until(lambda: keeper.node().requests == 2)
    keeper.close()
    fresh = Keeper()
    closing(fresh)
    fresh.owner.expect()
    ours, theirs = socket.socketpair()
    one.feed.attach(ours)
    one.serve(count=3)
    one.registry.health.request_failed(one.node(), one.loop.time())
    one.feed.report()
    theirs.setblocking(False)
    assert FeedReader().feed(theirs.recv(65_536)) == [["", "hello", FORMAT]]
    theirs.close()
    ours, theirs = socket.socketpair()
    one.feed.attach(ours)
    one.feed.report()
    fresh.owner.attach(theirs, one.worker)
    assert await fresh.owner.recover()
    await until(lambda: fresh.node().requests == 5 and fresh.node().fails == 1)


async def test_a_new_owner_without_workers_begins_with_nothing(
    closing: Callable[..., None],
) -> None:
    fresh = Keeper()
    closing(fresh)
    fresh.owner.expect()
    assert not await fresh.owner.recover()


async def test_a_worker_that_dies_while_it_gives_its_copy_is_passed_over(
    closing: Callable[..., None], two: tuple[Keeper, list[Copy]]
) -> None:
    keeper, (one, other) = two
    keeper.announce()
    await everywhere(*two)
    keeper.close()
    fresh = Keeper()
    closing(fresh)
    fresh.owner.expect()
    ours, theirs = socket.socketpair()
    fresh.owner.attach(theirs, one.worker)
    ours.close()
    ours, theirs = socket.socketpair()
    fresh.owner.attach(theirs, other.worker)
    other.feed.attach(ours)
    assert await fresh.owner.recover()
    assert fresh.names() == [NODE]


async def test_a_worker_that_is_stuck_delays_a_new_owner_for_a_moment_only(
    closing: Callable[..., None], two: tuple[Keeper, list[Copy]]
) -> None:
    keeper, (_, other) = two
    keeper.announce()
    await everywhere(*two)
    keeper.close()
    fresh = Keeper(FeedLimits(interval=0.01, recover=0.1))
    closing(fresh)
    fresh.owner.expect()
    stuck, theirs = socket.socketpair()
    fresh.owner.attach(theirs, Worker(5))
    ours, theirs = socket.socketpair()
    fresh.owner.attach(theirs, other.worker)
    other.feed.attach(ours)
    assert await fresh.owner.recover()
    assert fresh.names() == [NODE]
    stuck.close()


async def test_the_owner_of_a_new_generation_takes_over_and_the_old_one_follows(
    closing: Callable[..., None],
) -> None:
    """What a reload of a program with one worker does: it decided, and has a copy from then on."""
    old = Keeper()
    old.announce(weight=4)
    old.announce(OTHER)
    node = old.node()
    for _ in range(3):
        node.connect_started()
        node.connected()
    node.reference += 1
    fresh = Keeper()
    closing(old, fresh)
    ours, theirs = socket.socketpair()

    giving = old.owner.snapshot()
    old.part.close()
    follower = Copy(0)
    follower.table, follower.registry = old.table, old.registry
    closing(follower)
    feed = follower.feed
    feed._parts.clear()
    part = FedTable(NAME, old.table, feed.urgent, old.loop.time)
    part.count_from_now()
    feed.add(part)
    feed.attach(ours, giving=giving)
    assert await fresh.owner.take(theirs, follower.worker)
    assert fresh.names() == [NODE, OTHER]
    assert (fresh.node().weight, fresh.node().requests) == (4, 3)
    assert fresh.table.identity == old.table.identity
    await feed.synced()
    await until(lambda: fresh.node().reference == 1)
    node.connect_started()
    node.connected()
    await until(lambda: fresh.node().requests == 4)
    fresh.leave()
    await until(lambda: old.registry.choose(KEY) is old.node(OTHER))
    assert old.node() is node
    node.reference -= 1
    old.table.report(old.registry.released(node, old.loop.time()))
    await until(lambda: fresh.find() is None and old.find() is None)


async def test_reports_wait_while_there_is_no_owner(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, (one, _) = two
    keeper.announce()
    await everywhere(*two)
    keeper.owner.detach(one.worker)
    await until(lambda: not one.feed.has_owner)
    one.serve(count=2)
    node = one.node()
    node.connect_started()
    one.registry.connect_failed(node, one.loop.time(), timed_out=False)
    await one.join(keeper)
    await until(lambda: not keeper.names())


async def test_many_changes_in_one_turn_are_told_once(two: tuple[Keeper, list[Copy]]) -> None:
    keeper, copies = two
    for _ in range(10):
        keeper.announce()
        keeper.announce(OTHER)
    keeper.leave(OTHER)
    await everywhere(*two)
    await until(lambda: all(copy.names() == [NODE] for copy in copies))
    assert copies[0].events.count("NodeAdded") <= 2

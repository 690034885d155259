"""Requests for a known key wait for a node (``fastrouter-hold``)."""

import asyncio
from typing import Any

from tests.lab.inside import route
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, chunks, request, status_of
from tests.lab.router import Router
from tests.lab.scripts import answers_with_its_request, closes_without_a_byte
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.table.timing import TableTiming


async def known(lab: Lab, **options: object) -> Router:
    """A router whose key had a node, and has none now."""
    router = await lab.subscribed(**options)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    return router


def held(router: Router, count: int = 1) -> bool:
    return router.counters.holding == count


async def test_a_request_for_a_known_key_goes_on_when_a_node_announces_itself(lab: Lab) -> None:
    node = lab.node()
    router = await known(lab, hold=30)
    clients = [await lab.open(router, request()) for _ in range(5)]
    await until(lambda: held(router, 5))
    router.announce(node.address)
    assert [await client.rest() for client in clients] == [OK] * 5
    assert (await router.at_rest()).held == 5


async def test_so_does_one_whose_only_node_just_died(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed(hold=30)
    router.announce(lab.refused_tcp())
    client = await lab.open(router, request())
    await until(lambda: held(router))
    router.announce(node.address)
    assert await client.rest() == OK


async def test_so_does_a_get_whose_only_node_ended_the_connection(lab: Lab) -> None:
    """A single instance restarts under load."""
    going, coming = lab.node(closes_without_a_byte), lab.node()
    router = await lab.subscribed(hold=30)
    router.announce(going.address)
    client = await lab.open(router, request())
    await going.next()
    router.leave(going.address)
    await until(lambda: held(router))
    router.announce(coming.address)
    assert await client.rest() == OK
    await router.at_rest()


async def test_a_node_of_another_key_does_not_end_the_wait(lab: Lab) -> None:
    node, other = lab.node(), lab.node()
    router = await known(lab, hold=30)
    client = await lab.open(router, request())
    await until(lambda: held(router))
    router.announce(other.address, b"other.example")
    await a_few_turns()
    assert held(router)
    router.announce(node.address)
    assert await client.rest() == OK
    assert other.connections == 0
    assert (await router.at_rest()).held == 1


async def test_a_node_of_a_key_that_answers_for_it_ends_the_wait(lab: Lab) -> None:
    router = await lab.subscribed(hold=30, subscription={"dotsplit": True})
    router.announce("127.0.0.1:9", b".example.com")
    router.leave("127.0.0.1:9", b".example.com")
    client = await lab.open(router, request(host="WWW.example.com:80"))
    await until(lambda: held(router))
    router.announce(lab.node().address, b".example.com")
    assert await client.rest() == OK


async def test_a_node_that_revives_ends_the_wait(lab: Lab) -> None:
    """It was marked, and is still in the table because an exchange holds it."""
    node = lab.node()
    router = await lab.subscribed(hold=30)
    announced = router.announce(node.address)
    announced.reference += 1
    router.leave(node.address)
    client = await lab.open(router, request())
    await until(lambda: held(router))
    assert router.announce(node.address) is announced
    assert await client.rest() == OK
    announced.let_go()


async def test_an_unknown_key_does_not_wait(lab: Lab) -> None:
    router = await lab.subscribed(hold=30, errors="http")
    assert status_of(await lab.ask(router)) == 404
    assert router.counters.held == 0


async def test_right_after_the_start_no_key_is_unknown(lab: Lab) -> None:
    """Until every node has had the time to announce itself."""
    node = lab.node()
    router = await lab.router(hold=30, subscription_servers=("127.0.0.1:0",))
    client = await lab.open(router, request())
    await until(lambda: held(router))
    router.announce(node.address)
    assert await client.rest() == OK


async def test_without_hold_nobody_waits(lab: Lab) -> None:
    router = await known(lab, errors="http")
    assert status_of(await lab.ask(router)) == 503
    await lab.log.line("503 no-node")


async def test_the_wait_ends_after_the_time_that_was_configured(lab: Lab) -> None:
    router = await known(lab, hold=0.2, errors="http")
    answer = await lab.ask(router)
    assert status_of(answer) == 503
    assert b"Retry-After: " in answer
    assert "option=fastrouter-hold=0.2" in await lab.log.line("503 hold-expired")
    await router.at_rest()


async def test_the_number_of_waiting_requests_is_bounded(lab: Lab) -> None:
    router = await known(lab, hold=30, hold_max=2, errors="http")
    clients = [await lab.open(router, request()) for _ in range(2)]
    await until(lambda: held(router, 2))
    assert status_of(await lab.ask(router)) == 503
    assert "option=fastrouter-hold-max=2" in await lab.log.line("503 hold-full")
    router.announce(lab.node().address)
    assert [await client.rest() for client in clients] == [OK] * 2
    await router.at_rest()


async def test_one_key_does_not_take_the_room_that_others_need(lab: Lab) -> None:
    router = await known(lab, hold=30, hold_max=4, errors="http")
    router.announce("127.0.0.1:9", b"other.example")
    router.leave("127.0.0.1:9", b"other.example")
    many = [await lab.open(router, request()) for _ in range(4)]
    await until(lambda: held(router, 4))
    few = [await lab.open(router, request(host="other.example")) for _ in range(2)]
    # The last ones of the other key have to go.
    assert [status_of(await client.rest()) for client in many[2:]] == [503] * 2
    assert "option=fastrouter-hold-max=4" in await lab.log.line("503 hold-full")
    await until(lambda: held(router, 4))
    assert status_of(await lab.ask(router)) == 503
    node = lab.node().address
    for key in (b"example.com", b"other.example"):
        router.announce(node, key)
    assert [await client.rest() for client in (*many[:2], *few)] == [OK] * 4
    await router.at_rest()
    assert router.counters.failed == {"hold-full": 3}


async def test_names_that_a_client_makes_up_share_what_the_key_that_answers_for_them_has(
    lab: Lab,
) -> None:
    router = await known(lab, hold=30, hold_max=2, errors="http", subscription={"dotsplit": True})
    router.announce("127.0.0.1:9", b".wild.example")
    router.leave("127.0.0.1:9", b".wild.example")
    clients = [await lab.open(router, request()) for _ in range(2)]
    await until(lambda: held(router, 2))
    wild = [await lab.open(router, request(host=f"{name}.wild.example")) for name in "ab"]
    # Of four names one key has two requests, the other had as many.
    assert status_of(await wild[1].rest()) == 503
    assert status_of(await clients[1].rest()) == 503
    for client in (clients[0], wild[0]):
        client.reset()
    await router.at_rest()


async def test_a_web_server_that_closes_its_unix_socket_is_held_no_longer(lab: Lab) -> None:
    router = await known(lab, hold=30, listen=(str(lab.path()),))
    client = await lab.open(router, request())
    await until(lambda: held(router))
    client.close()
    assert (await router.at_rest()).client_aborts == 1


async def test_their_bytes_are_bounded(lab: Lab) -> None:
    router = await known(lab, hold=30, hold_max_bytes=100_000, errors="http")
    first = await lab.open(router, request("POST", length=60_000))
    await until(lambda: held(router))
    second = await lab.open(router, request("POST", length=60_000))
    assert status_of(await second.some()) == 503
    second.eof()
    await lab.log.line("503 hold-full")
    first.eof()
    assert (await router.at_rest()).client_aborts == 1


async def test_bodies_collected_in_memory_count_too(lab: Lab) -> None:
    router = await known(
        lab, hold=30, hold_max_bytes=1_000_000, post_buffering=500_000, errors="http"
    )
    body = request("POST", length=400_000) + bytes(400_000)
    clients = [await lab.open(router, body) for _ in range(2)]
    await until(lambda: held(router, 2))
    assert status_of(await lab.ask(router, body)) == 503
    for client in clients:
        client.reset()
    await router.at_rest()


async def test_so_do_bodies_that_came_in_chunks(lab: Lab) -> None:
    router = await lab.announced(hold=30, hold_max_bytes=1_000_000, post_buffering=500_000)
    node = lab.http_node()
    router.announce(node.address)
    router.leave(node.address)
    body = ask("/", "Transfer-Encoding: chunked", method="POST") + chunks(bytes(400_000))
    clients = [await lab.open(router, body) for _ in range(2)]
    await until(lambda: held(router, 2))
    assert (await lab.get(router, body)).status == 503
    for client in clients:
        client.reset()
    await router.at_rest()


async def test_what_was_held_is_free_again_afterwards(lab: Lab) -> None:
    router = await known(lab, hold=30, hold_max=1)
    for _ in range(3):
        client = await lab.open(router, request())
        await until(lambda: held(router))
        client.reset()
        await router.at_rest()
    assert router.counters.client_aborts == 3
    assert len(router.gateway.context.site.hold) == 0
    assert router.gateway.context.site.hold._bytes == 0


async def test_a_client_that_ends_inside_its_body_while_held_is_gone(lab: Lab) -> None:
    router = await known(lab, hold=30)
    client = await lab.open(router, request("POST", length=10) + b"123")
    await until(lambda: held(router))
    client.eof()
    assert await client.rest() == b""
    assert (await router.at_rest()).client_aborts == 1


async def test_what_a_client_sends_while_held_brings_no_node(lab: Lab) -> None:
    """Its bytes must not make us try the fallback again and again."""
    router = await known(lab, hold=30, fallback=(lab.refused_tcp(),))
    client = await lab.open(router, request("POST", length=20))
    await until(lambda: held(router))
    for _ in range(10):
        await client.send(b"x")
        await a_few_turns()
    assert len(lab.log.having("unable to connect")) == 1
    client.reset()
    await router.at_rest()


async def test_a_half_close_while_held_is_none(lab: Lab) -> None:
    router = await known(lab, hold=30)
    client = await lab.open(router, request())
    client.eof()
    await until(lambda: held(router))
    router.announce(lab.node().address)
    assert await client.rest() == OK


async def test_a_body_that_came_while_held_arrives_whole(lab: Lab) -> None:
    node = lab.node(answers_with_its_request())
    router = await known(lab, hold=30)
    whole = request("POST", length=1_000_000) + bytes(1_000_000)
    asked = asyncio.get_running_loop().create_task(lab.ask(router, whole))
    await until(lambda: held(router))
    router.announce(node.address)
    assert await asked == whole


async def test_a_node_that_comes_late_has_the_whole_time_to_take_the_connection(lab: Lab) -> None:
    """The time before the wait does not count against it."""
    hole = lab.black_hole()
    router = await lab.subscribed(hold=30, timeout=1.5)
    router.announce(lab.refused_tcp())
    client = await lab.open(router, request())
    await until(lambda: held(router))
    route(router).connects_until -= 1.5  # as if it had waited so long
    late = router.announce(hole.address)
    await until(lambda: late.connecting)
    lab.node(on=hole.listen())
    assert await client.rest() == OK
    assert late.failcnt == 0


async def test_a_busy_node_is_not_waited_for_like_a_missing_one(lab: Lab) -> None:
    router = await lab.subscribed(hold=30, connect_timeout=0.2, errors="http")
    router.announce(lab.busy_unix().address)
    assert status_of(await lab.ask(router)) == 503
    await lab.log.line("503 busy")
    assert router.counters.held == 0


async def test_whether_other_nodes_are_left_is_asked_without_spending_their_turn(lab: Lab) -> None:
    """With max-retries a request that failed does not wait if nodes are left; these have not been chosen."""
    router = await lab.subscribed(hold=30, max_retries=0, errors="http")
    router.announce(lab.refused_tcp())
    other = router.announce(lab.node().address)
    assert status_of(await lab.ask(router)) == 502
    await router.at_rest()
    pool = router.table.registry.pools[b"example.com"]
    assert (pool.hits, other.wrr) == (1, 1)


# --- right after the start, without hold ---


async def just_started(lab: Lab, settling: float = 30.0, **options: Any) -> Router:
    lab.table_timing = TableTiming(settling=settling)
    return await lab.router(subscription_servers=("127.0.0.1:0",), errors="http", **options)


async def test_right_after_the_start_a_request_waits_for_the_first_announce(lab: Lab) -> None:
    node = lab.node()
    router = await just_started(lab)
    client = await lab.open(router, request())
    await until(lambda: held(router))
    router.announce(node.address)
    assert await client.rest() == OK
    await router.at_rest()


async def test_it_waits_until_every_node_had_the_time_and_is_answered_as_ever(lab: Lab) -> None:
    router = await just_started(lab, settling=0.2)
    assert status_of(await lab.ask(router)) == 503
    await lab.log.line("503 no-node: no node has announced this key yet")
    assert router.counters.held == 1
    # From now on nobody waits.
    assert status_of(await lab.ask(router)) == 503
    assert router.counters.held == 1
    await router.at_rest()


async def test_it_does_not_wait_for_longer_than_a_node_may_be_silent(lab: Lab) -> None:
    router = await just_started(lab, subscription={"tolerance": 0.2})
    # The wait ends when the start does: either may be seen first.
    assert status_of(await lab.ask(router)) in {404, 503}
    assert router.counters.held == 1
    assert status_of(await lab.ask(router)) == 404
    assert router.counters.held == 1
    await router.at_rest()


async def test_a_key_whose_nodes_are_down_does_not_wait(lab: Lab) -> None:
    router = await just_started(lab)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    assert status_of(await lab.ask(router)) == 503
    assert router.counters.held == 0
    await router.at_rest()


async def test_hold_max_bounds_them_and_the_others_are_answered_as_ever(lab: Lab) -> None:
    router = await just_started(lab, hold_max=2)
    scanners = [await lab.open(router, request(host=f"{n}.example")) for n in range(2)]
    await until(lambda: held(router, 2))
    assert status_of(await lab.ask(router)) == 503
    await lab.log.line("503 no-node")
    # The places of the table's keys are none of theirs.
    router.announce(lab.node().address)
    assert await lab.ask(router) == OK
    for scanner in scanners:
        scanner.reset()
    assert (await router.at_rest()).client_aborts == 2


async def test_with_hold_unknown_keys_take_no_places_of_known_ones(lab: Lab) -> None:
    node = lab.node()
    router = await just_started(lab, hold=30, hold_max=1)
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    scanner = await lab.open(router, request(host="unknown.example"))
    await until(lambda: held(router))
    client = await lab.open(router, request())
    await until(lambda: held(router, 2))
    router.announce(node.address)
    assert await client.rest() == OK
    scanner.reset()
    await router.at_rest()


async def test_a_router_that_knows_its_nodes_from_a_file_lets_nobody_wait(lab: Lab) -> None:
    state = str(lab.path())
    first = await just_started(lab, subscription={"state": state})
    first.announce(lab.node().address)
    await first.stop()
    router = await just_started(lab, subscription={"state": state})
    assert status_of(await lab.ask(router, request(host="unknown.example"))) == 503
    assert router.counters.held == 0
    await router.at_rest()


async def test_an_http_client_waits_likewise(lab: Lab) -> None:
    node = lab.http_node()
    router = await lab.http(subscription_servers=("127.0.0.1:0",))
    client = await lab.open(router, ask())
    await until(lambda: held(router))
    router.announce(node.address, proto="http")
    assert (await client.answer()).status == 200
    client.close()
    await router.at_rest()

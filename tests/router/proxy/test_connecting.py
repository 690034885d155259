"""Connects to nodes: failures, retries, fallbacks, busy nodes (uWSGI: plugins/corerouter/corerouter.c)."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable

import pytest

from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.messages import OK, request
from tests.lab.names import Names
from tests.lab.waiting import until

Dead = Callable[[Lab], str]
DEAD = {
    "refused TCP": Lab.refused_tcp,
    "refused UNIX": Lab.refused_unix,
    "missing UNIX": Lab.missing_unix,
    "abstract UNIX": lambda _lab: "@uwsgi-router-test-nobody",
}


@pytest.mark.parametrize("dead", DEAD.values(), ids=DEAD.keys())
async def test_a_node_that_refuses_is_marked_and_the_next_one_answers(lab: Lab, dead: Dead) -> None:
    """Synchronous and asynchronous failures are one thing (uWSGI drops the synchronous ones)."""
    node = lab.node()
    router = await lab.subscribed()
    gone = dead(lab)
    first = router.announce(gone)
    second = router.announce(node.address)
    for _ in range(4):
        assert await lab.ask(router) == OK
    assert (first.failcnt, second.failcnt, second.requests) == (1, 0, 4)
    assert gone in await lab.log.line("unable to connect")
    assert gone in await lab.log.line("as failed: a connect failed")
    assert [node.name for node in router.table.registry.pools[b"example.com"].nodes] == [
        node.address
    ]
    assert (await router.at_rest()).retries == 1
    assert router.counters.completed == 4


@pytest.mark.parametrize("dead", DEAD.values(), ids=DEAD.keys())
async def test_a_post_is_safe_to_move_on_before_it_was_sent(lab: Lab, dead: Dead) -> None:
    node = lab.node()
    router = await lab.router(to=(dead(lab), node.address))
    body = request("POST", length=100_000) + bytes(100_000)
    for _ in range(3):
        assert await lab.ask(router, body) == OK
    assert node.connections == 3


async def test_quiet_silences_only_the_line_about_the_connect(lab: Lab) -> None:
    router = await lab.subscribed(quiet=True)
    router.announce(lab.refused_tcp())
    await lab.ask(router)
    await lab.log.line("as failed")
    assert lab.log.having("unable to connect") == []


async def test_without_max_retries_every_live_node_is_tried_once(lab: Lab) -> None:
    dead = [lab.refused_unix() for _ in range(7)]
    node = lab.node()
    router = await lab.subscribed()
    for address in (*dead, node.address):
        router.announce(address)
    assert await lab.ask(router) == OK


@pytest.mark.parametrize(("retries", "tried"), [(0, 1), (2, 3)])
async def test_max_retries_n_allows_n_plus_1_attempts(lab: Lab, retries: int, tried: int) -> None:
    node = lab.node()
    router = await lab.router(
        to=(*(lab.refused_unix() for _ in range(4)), node.address), max_retries=retries
    )
    assert await lab.ask(router) == b""
    assert f"option=fastrouter-max-retries={retries}" in await lab.log.line("502 connect")
    assert len(lab.log.having(f"tries={tried} ")) == 1
    assert router.counters.retries == retries


async def test_max_retries_larger_than_the_number_of_nodes_does_no_harm(lab: Lab) -> None:
    router = await lab.router(to=(lab.refused_unix(), lab.refused_tcp()), max_retries=9)
    assert await lab.ask(router) == b""
    line = await lab.log.line("502 connect")
    assert "tries=2 " in line
    assert "option=" not in line


async def test_then_each_fallback_once_in_order(lab: Lab) -> None:
    """After the healthy siblings, and even the fifth (uWSGI: no siblings, three fallbacks)."""
    dead = [lab.refused_unix() for _ in range(4)]
    spare = lab.node()
    router = await lab.subscribed(fallback=(*dead, spare.address), max_retries=0)
    router.announce(gone := lab.refused_tcp())
    assert await lab.ask(router) == OK
    lines = [line for line in lab.log.lines if "unable to connect to" in line]
    assert [name in line for name, line in zip((gone, *dead), lines, strict=True)] == [True] * 5
    assert "(4 retries)" in lines[-1]


async def test_a_healthy_sibling_comes_before_a_fallback(lab: Lab) -> None:
    node, spare = lab.node(), lab.node()
    router = await lab.subscribed(fallback=(spare.address,))
    router.announce(lab.refused_tcp())
    router.announce(node.address)
    for _ in range(3):
        assert await lab.ask(router) == OK
    assert (node.connections, spare.connections) == (3, 0)


async def test_all_fallbacks_dead_ends_the_request(lab: Lab) -> None:
    router = await lab.subscribed(fallback=(lab.refused_tcp(), lab.refused_unix()), errors="http")
    router.announce(lab.refused_unix())
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 502 ")
    assert "tries=3 " in await lab.log.line("502 connect")
    await router.at_rest()


async def test_a_fallback_stands_in_while_the_only_node_is_gone(lab: Lab) -> None:
    """Not only for the request that found out (uWSGI's trap)."""
    spare = lab.node()
    router = await lab.subscribed(fallback=(spare.address,))
    router.announce(lab.refused_tcp())
    assert [await lab.ask(router) for _ in range(3)] == [OK] * 3


async def test_a_fallback_takes_unknown_keys_only_if_asked_to(lab: Lab) -> None:
    spare = lab.node()
    router = await lab.subscribed(fallback=(spare.address,))
    assert await lab.ask(router) == b""
    await lab.log.line("404 unknown-key")
    router = await lab.subscribed(fallback=(spare.address,), fallback_on_no_key=True)
    assert await lab.ask(router) == OK


async def test_fallback_on_no_key_does_not_invent_a_key(lab: Lab) -> None:
    spare = lab.node()
    router = await lab.subscribed(fallback=(spare.address,), fallback_on_no_key=True)
    assert await lab.ask(router, request(host="")) == b""
    assert spare.connections == 0


# --- busy nodes ---


async def test_a_busy_unix_node_leaves_the_request_to_its_sibling(lab: Lab) -> None:
    busy, node = lab.busy_unix(), lab.node()
    router = await lab.subscribed()
    announced = router.announce(busy.address)
    router.announce(node.address)
    for _ in range(4):
        assert await lab.ask(router) == OK
    assert (announced.failcnt, announced.death_mark) == (0, False)
    assert node.connections == 4


async def test_a_busy_unix_node_without_sibling_is_waited_for(lab: Lab) -> None:
    busy, spare = lab.busy_unix(), lab.node()
    router = await lab.subscribed(fallback=(spare.address,))
    announced = router.announce(busy.address)
    client = await lab.open(router, request())
    await until(lambda: phases(router) == ["busy"])
    node = lab.node(on=busy.listen())
    assert await client.rest() == OK
    assert (node.connections, spare.connections) == (1, 0)
    assert announced.failcnt == 0
    assert not lab.log.having("failed")
    assert not lab.log.having("unable")


async def test_a_busy_unix_node_is_given_up_after_the_connect_timeout_but_never_marked(
    lab: Lab,
) -> None:
    busy = lab.busy_unix()
    router = await lab.subscribed(connect_timeout=0.3, errors="http")
    announced = router.announce(busy.address)
    answer = await lab.ask(router)
    assert answer.startswith(b"HTTP/1.1 503 ")
    line = await lab.log.line("failed: 503 busy")
    assert "temporarily unavailable" in line
    assert "option=fastrouter-connect-timeout=0.3" in line
    assert " tries=1 " in line
    assert (announced.failcnt, announced.death_mark, announced.connecting) == (0, False, 0)
    await router.at_rest()


async def test_after_that_a_fallback_is_tried(lab: Lab) -> None:
    busy, spare = lab.busy_unix(), lab.node()
    router = await lab.router(busy, fallback=(spare.address,), connect_timeout=0.2)
    assert await lab.ask(router) == OK
    assert (await router.at_rest()).retries == 1


async def test_a_client_that_goes_while_its_node_is_busy_is_noticed(lab: Lab) -> None:
    router = await lab.subscribed()
    announced = router.announce(lab.busy_unix().address)
    client = await lab.open(router, request())
    await until(lambda: phases(router) == ["busy"])
    client.reset()
    assert (await router.at_rest()).client_aborts == 1
    assert announced.reference == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])
async def test_a_shortage_of_ours_never_marks_a_node(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The system is short for a moment: the request waits, and is answered."""
    node = lab.node()
    router = await lab.subscribed()
    announced = router.announce(node.address)
    left = [3]

    class Short(socket.SocketType):
        def connect_ex(self, address: object, /) -> int:
            if left[0]:
                left[0] -= 1
                raise OSError(number, os.strerror(number))
            return super().connect_ex(address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "SocketType", Short)
    assert await lab.ask(router) == OK
    assert left == [0]
    assert announced.failcnt == 0
    assert os.strerror(number) in await lab.log.line("for a reason of ours")
    assert lab.log.having("as failed") == []


# --- black holes ---


async def test_a_connect_that_is_not_answered_ends_after_the_connect_timeout(lab: Lab) -> None:
    hole, node = lab.black_hole(), lab.node()
    router = await lab.subscribed(connect_timeout=0.2)
    lost = router.announce(hole.address)
    router.announce(node.address)
    assert [await lab.ask(router) for _ in range(2)] == [OK] * 2
    assert lost.failcnt == 1
    assert lost.suspect
    assert "(0 retries): timeout" in await lab.log.line("unable to connect")


async def test_only_black_holes_is_a_504_that_names_the_option(lab: Lab) -> None:
    router = await lab.subscribed(connect_timeout=0.2, errors="http")
    router.announce(lab.black_hole().address)
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 504 ")
    assert "option=fastrouter-connect-timeout=0.2" in await lab.log.line("504 connect")
    await router.at_rest()


async def test_a_connect_unanswered_for_a_second_makes_others_avoid_the_node(lab: Lab) -> None:
    hole, node = lab.black_hole(), lab.node()
    router = await lab.subscribed()
    lost = router.announce(hole.address)
    waiting = await lab.open(router, request())
    await until(lambda: lost.connecting)
    assert not lost.slow
    await until(lambda: lost.slow)
    router.announce(node.address)
    for _ in range(6):
        assert await lab.ask(router) == OK
    assert node.connections == 6
    assert lost.connecting == 1
    # The kernel tries again by itself; then the one that waited is answered too.
    late = lab.node(on=hole.listen())
    assert await waiting.rest() == OK
    assert late.connections == 1
    assert not lost.connecting_slowly


async def test_a_suspect_gets_one_trial_at_a_time_even_if_it_announces_itself(lab: Lab) -> None:
    hole, node = lab.black_hole(), lab.node()
    router = await lab.subscribed(connect_timeout=0.3)
    router.announce(hole.address)
    router.announce(node.address)
    await asyncio.gather(*(lab.ask(router) for _ in range(4)))
    lost = router.announce(hole.address)
    assert lost.suspect
    before = lost.failcnt
    assert await asyncio.gather(*(lab.ask(router) for _ in range(8))) == [OK] * 8
    assert lost.failcnt - before <= 1
    await router.at_rest()


async def test_all_connects_together_take_no_longer_than_the_socket_timeout(lab: Lab) -> None:
    """And a node for which no time was left is not blamed."""
    router = await lab.subscribed(connect_timeout=0.3, timeout=0.5)
    nodes = [router.announce(lab.black_hole().address) for _ in range(6)]
    began = asyncio.get_running_loop().time()
    assert await lab.ask(router) == b""
    assert asyncio.get_running_loop().time() - began < 1.6
    assert "option=fastrouter-timeout=0.5" in await lab.log.line("504 connect")
    assert sum(node.failcnt for node in nodes) <= 3
    await router.at_rest()


async def test_a_client_that_goes_during_a_connect_is_noticed_and_the_node_not_marked(
    lab: Lab,
) -> None:
    router = await lab.subscribed()
    lost = router.announce(lab.black_hole().address)
    client = await lab.open(router, request())
    await until(lambda: lost.connecting)
    client.reset()
    await router.at_rest()
    assert (lost.failcnt, lost.connecting, lost.reference) == (0, 0, 0)
    assert router.counters.client_aborts == 1


# --- names ---


def _port(address: str) -> str:
    return address.rpartition(":")[2]


async def test_an_announced_name_is_resolved_and_each_address_tried(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = lab.node()
    router = await lab.subscribed()
    names = Names({"lab.test": ["127.9.9.9", "127.0.0.1"]}).given_to(router)
    announced = router.announce(f"lab.test:{_port(node.address)}")
    assert [await lab.ask(router) for _ in range(3)] == [OK] * 3
    assert names.asked == ["lab.test"]
    assert (announced.requests, announced.failcnt) == (3, 0)


async def test_a_name_without_an_address_is_a_failed_connect(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed()
    Names({"gone.test": []}).given_to(router)
    gone = router.announce("gone.test:3031")
    router.announce(node.address)
    assert [await lab.ask(router) for _ in range(2)] == [OK] * 2
    assert gone.failcnt == 1
    assert "gone.test:3031" in await lab.log.line("can't be resolved")


async def test_names_whose_server_is_silent_keep_no_other_request_waiting(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed(connect_timeout=30.0)
    silent = [f"n{number}.test" for number in range(40)]
    names = Names(
        {"lab.test": ["127.0.0.1"], "new.test": ["127.0.0.1"], **dict.fromkeys(silent)}
    ).given_to(router)
    for key in ("lab", "new"):
        router.announce(f"{key}.test:{_port(node.address)}", key.encode())
    assert await lab.ask(router, request(host="lab")) == OK
    for host in silent:
        router.announce(f"{host}:3031", host.encode())
    waiting = [await lab.open(router, request(host=host)) for host in silent]
    await until(lambda: set(silent) <= set(names.asked))
    # One that is looked up again, and one that never was.
    names.ahead = 6.0
    async with asyncio.timeout(5.0):
        assert await lab.ask(router, request(host="lab")) == OK
        assert await lab.ask(router, request(host="new")) == OK
    for client in waiting:
        client.reset()
    assert (await router.at_rest()).client_aborts == len(silent)
    for host in silent:
        names.comes(host, [])


async def test_held_connections_cost_no_node_anything(lab: Lab) -> None:
    """Connections that are open do not stop others."""
    node = lab.held()
    router = await lab.subscribed()
    announced = router.announce(node.address)
    clients = [await lab.open(router, request()) for _ in range(20)]
    for _ in range(20):
        await (await node.next()).packet()
    assert announced.reference == 20
    for client in clients:
        client.reset()
    await router.at_rest()
    assert announced.reference == 0

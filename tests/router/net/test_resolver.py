"""Host names of nodes: remembered for a while, looked up once for all, and never lost again."""

import asyncio
import os
import signal
import socket
import threading
from typing import Any

import pytest

from tests.lab.names import Names
from tests.lab.waiting import until
from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.router.net.blocking_look_up import look_up_now
from uwsgi_router.router.net.connect import Endpoint
from uwsgi_router.router.net.look_ups import OTHER_PLACES
from uwsgi_router.router.net.resolver import MAX_NAMES, TTL, Resolver

APP = InetAddress("app.test", 3031)


def v4(*addresses: str) -> list[Endpoint]:
    return [(socket.AF_INET, (address, 3031)) for address in addresses]


async def test_every_address_in_the_systems_order_without_repetition() -> None:
    names = Names({"app.test": ["10.0.0.2", "fd00::1", "10.0.0.1", "10.0.0.2"]})
    assert await names.resolver().resolve(APP) == [
        (socket.AF_INET, ("10.0.0.2", 3031)),
        (socket.AF_INET6, ("fd00::1", 3031)),
        (socket.AF_INET, ("10.0.0.1", 3031)),
    ]


async def test_an_answer_is_asked_for_once_until_it_is_old() -> None:
    names = Names({"app.test": ["10.0.0.1"]})
    resolver = names.resolver()
    assert resolver.fresh(APP) is None
    for _ in range(3):
        await resolver.resolve(APP)
    assert names.asked == ["app.test"]
    assert resolver.fresh(APP) == v4("10.0.0.1")
    names.ahead = TTL + 0.1
    names.answers["app.test"] = ["10.0.0.2"]
    assert resolver.fresh(APP) is None
    assert await resolver.resolve(APP) == v4("10.0.0.2")


async def test_one_look_up_serves_all_who_wait() -> None:
    names = Names({"app.test": None})
    resolver = names.resolver()
    waiting = [asyncio.get_running_loop().create_task(resolver.resolve(APP)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    names.comes("app.test", ["10.0.0.1"])
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert answers[1:] == [v4("10.0.0.1")] * 4
    assert names.asked == ["app.test"]


async def test_a_name_that_never_had_an_address_is_an_error_for_all_who_wait() -> None:
    names = Names({"app.test": []})
    resolver = names.resolver()
    answers = await asyncio.gather(
        *(resolver.resolve(APP) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [socket.gaierror] * 3
    assert names.asked == ["app.test"]


async def test_dns_that_fails_takes_no_node_away() -> None:
    names = Names({"app.test": ["10.0.0.1"]})
    resolver = names.resolver()
    await resolver.resolve(APP)
    names.ahead = TTL + 0.1
    names.answers["app.test"] = []
    assert await resolver.resolve(APP) == v4("10.0.0.1")


async def test_dns_that_hangs_takes_no_node_away() -> None:
    names = Names({"app.test": ["10.0.0.1"]})
    resolver = names.resolver(patience=0.05)
    await resolver.resolve(APP)
    names.ahead = TTL + 0.1
    names.answers["app.test"] = None
    assert await resolver.resolve(APP) == v4("10.0.0.1")
    assert await resolver.resolve(APP) == v4("10.0.0.1")
    assert names.asked == ["app.test"] * 2
    names.comes("app.test", ["10.0.0.2"])
    await until(lambda: resolver.fresh(APP) == v4("10.0.0.2"))


async def test_a_name_that_the_system_cannot_even_write_is_an_error_like_any_other() -> None:
    """Python raises UnicodeError for a label that is too long."""
    with pytest.raises(OSError):  # noqa: PT011 - its text is the system's
        await Names({}).resolver().resolve(InetAddress("a" * 70 + ".test", 80))


async def test_a_number_needs_no_look_up_of_the_networks() -> None:
    assert await Names({}).resolver().resolve(InetAddress("127.0.0.1", 3031)) == v4("127.0.0.1")


async def test_any_number_of_names_takes_bounded_memory() -> None:
    names = Names({f"n{number}.test": ["10.0.0.1"] for number in range(MAX_NAMES + 10)})
    resolver = names.resolver()
    for host in names.answers:
        await resolver.resolve(InetAddress(host, 3031))
    assert len(resolver._known) == MAX_NAMES


async def test_close_ends_the_look_ups_under_way() -> None:
    resolver = Names({"app.test": None}).resolver()
    waiting = asyncio.get_running_loop().create_task(resolver.resolve(APP))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_name_that_leads_to_the_router_itself_is_not_followed() -> None:
    """The request would come back with the same name, for ever."""
    names = Names({"app.test": ["10.0.0.1", "10.0.0.2"], "own.test": ["10.0.0.1"]})
    own = InetAddress("10.0.0.1", 3031)
    resolver = Resolver(names.as_loop, lambda address: address == own, look_ups=names.look_ups())
    assert await resolver.resolve(APP) == v4("10.0.0.2")
    with pytest.raises(OSError, match=r"own.test:3031 is this router itself"):
        await resolver.resolve(InetAddress("own.test", 3031))
    assert await resolver.resolve(InetAddress("own.test", 80))


async def test_a_name_server_that_stays_silent_keeps_one_request_waiting_and_no_other() -> None:
    """The time counts from the beginning of the look-up that they share."""
    names = Names({"app.test": None})
    resolver = names.resolver()
    with pytest.raises(TimeoutError, match="its name server does not answer"):
        await resolver.resolve(APP, within=0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            await resolver.resolve(APP, within=0.05)
    assert loop.time() - began < 0.5
    names.comes("app.test", ["10.0.0.1"])
    assert await resolver.resolve(APP) == v4("10.0.0.1")


async def test_the_last_good_answer_of_a_silent_name_is_given_at_once() -> None:
    names = Names({"app.test": ["10.0.0.1"]})
    resolver = names.resolver(patience=0.5)
    await resolver.resolve(APP)
    names.answers["app.test"] = None
    names.ahead = TTL + 0.1
    await resolver.resolve(APP)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(20):
        assert await resolver.resolve(APP, within=5.0) == v4("10.0.0.1")
    assert loop.time() - began < 0.4
    # The look-up fails at last, and the next one is silent again: nobody waits for that, either.
    names.comes("app.test", [])
    await until(lambda: not resolver._running)
    names.answers["app.test"] = None
    names.ahead += TTL + 0.1
    began = loop.time()
    assert await resolver.resolve(APP, within=5.0) == v4("10.0.0.1")
    assert loop.time() - began < 0.4
    await until(lambda: names.asked == ["app.test"] * 3)
    names.comes("app.test", ["10.0.0.1"])


async def test_names_that_are_silent_leave_the_others_their_places() -> None:
    silent = {f"n{number}.test": None for number in range(200)}
    names = Names({"app.test": ["10.0.0.1"], **silent})
    resolver = names.resolver()
    assert await resolver.resolve(APP) == v4("10.0.0.1")
    loop = asyncio.get_running_loop()
    waiting = [
        loop.create_task(resolver.resolve(InetAddress(host, 3031), within=10.0)) for host in silent
    ]
    await until(lambda: len(names.asked) > OTHER_PLACES)
    names.ahead = TTL + 0.1
    names.answers["app.test"] = ["10.0.0.2"]
    began = loop.time()
    assert await resolver.resolve(APP) == v4("10.0.0.2")
    assert loop.time() - began < 0.5
    # Not one more of those, whatever they do.
    assert len([host for host in names.asked if host in silent]) == OTHER_PLACES
    for task in waiting:
        task.cancel()
    resolver.close()
    for host in silent:
        names.comes(host, [])


async def test_a_name_that_was_prompt_and_is_silent_now_gives_its_place_away() -> None:
    names = Names({"a.test": ["10.0.0.1"], "b.test": ["10.0.0.2"]})
    look_ups = names.look_ups(prompt=0.05, places=1, other_places=1)
    a, b = InetAddress("a.test", 1), InetAddress("b.test", 1)
    for one in (a, b):
        await look_ups.look_up(one, socket.SOCK_STREAM)
    names.answers["a.test"] = None
    waiting = asyncio.get_running_loop().create_task(look_ups.look_up(a, socket.SOCK_STREAM))
    await until(lambda: names.asked.count("a.test") == 2)
    assert await look_ups.look_up(b, socket.SOCK_STREAM) == ["10.0.0.2"]
    names.comes("a.test", ["10.0.0.3"])
    assert await waiting == ["10.0.0.3"]
    look_ups.close()


def test_the_wait_for_a_name_at_the_start_can_be_interrupted() -> None:
    answered = threading.Event()

    def hangs(*_args: object, **_more: object) -> list[tuple[Any, ...]]:
        answered.wait()
        return []

    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            look_up_now("app.test", 1, socket.SOCK_STREAM, hangs)
    finally:
        signal.signal(signal.SIGUSR1, previous)
        timer.join()
        answered.set()

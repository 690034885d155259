"""Host names of nodes: remembered for a while, looked up once for all, and never lost again."""

import asyncio
import socket
from typing import cast

import pytest

from tests.lab.names import Names
from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.router.net.connect import Endpoint
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
    assert await resolver.resolve(APP) == v4("10.0.0.2")


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
    resolver = Resolver(cast("asyncio.AbstractEventLoop", names), lambda address: address == own)
    assert await resolver.resolve(APP) == v4("10.0.0.2")
    with pytest.raises(OSError, match=r"own.test:3031 is this router itself"):
        await resolver.resolve(InetAddress("own.test", 3031))
    assert await resolver.resolve(InetAddress("own.test", 80))

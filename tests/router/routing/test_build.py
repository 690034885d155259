"""Forwarder of a configuration, in uWSGI's order of precedence."""

import asyncio
import logging
from typing import Any

import pytest

from tests.router.routing.requests import asking
from uwsgi_router.router.app.forwarders import build_forwarder
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import CacheConfig, RouterConfig, SubscriptionConfig
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.router.routing.cache_store import Caches
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.health import Ejections
from uwsgi_router.subscriptions.node import Node

ALL: dict[str, Any] = {
    "use_cache": "nodes",
    "use_pattern": "/pattern/%s",
    "subscription_servers": (":7000",),
    "use_base": "/base/",
    "use_code_string": lambda _key: "/code",
    "use_socket": "/socket",
    "to": ("/to",),
}
FIRST = {
    "use_cache": "/cache",
    "use_pattern": "/pattern/key",
    "subscription_servers": None,
    "use_base": "/base/key",
    "use_code_string": "/code",
    "use_socket": "/socket",
    "to": "/to",
}


def caches() -> Caches:
    """One cache with the key that is asked for."""
    made = Caches((CacheConfig("nodes", 10),))
    for cache in made:
        cache.store(b"key", b"/cache", 0.0, overwrite=False)
    return made


def build(sockets: tuple[str, ...] = (), **options: Any) -> Forwarder:
    loop = asyncio.new_event_loop()
    try:
        table = Table(SubscriptionConfig(), loop) if "subscription_servers" in options else None
        return build_forwarder(
            RouterConfig(**options),
            sockets,
            table,
            loop,
            poller=Poller(loop),
            caches=caches(),
            resolver=Resolver(loop),
            ejections=Ejections(),
        )
    finally:
        loop.close()


def target(forwarder: Forwarder) -> str | None:
    node = forwarder.choose(asking("key"), (), 1e9)
    assert isinstance(node, Node | None)
    return None if node is None else node.name


@pytest.mark.parametrize("winner", range(len(ALL)))
def test_the_first_in_uwsgis_order_wins_over_all_behind_it(winner: int) -> None:
    names = list(ALL)
    for loser in names[winner + 1 :]:
        pair = {names[winner]: ALL[names[winner]], loser: ALL[loser]}
        assert target(build(**pair)) == FIRST[names[winner]]
    assert target(build(**{name: ALL[name] for name in names[winner:]})) == FIRST[names[winner]]


def test_with_no_forwarder_every_request_is_refused() -> None:
    forwarder = build()
    assert target(forwarder) is None
    assert not forwarder.is_known(asking("key"), 0.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", "/s0"), ("", "/s0"), ("1", "127.0.0.1:3031"), ("/path", "/path"), ("h:1", "h:1")],
)
def test_use_socket_is_an_address_or_the_index_of_a_socket_line(value: str, expected: str) -> None:
    assert target(build(("/s0", "127.0.0.1:3031"), use_socket=value)) == expected


def test_use_socket_without_such_a_line_warns_and_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert target(build(("/s0",), use_socket="1")) is None
    assert "every request will be refused" in caplog.text


def test_use_socket_without_such_a_line_leaves_it_to_the_static_nodes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert target(build(use_socket="0", to=("/to",))) == "/to"
    assert "every request" not in caplog.text
    assert "0 socket lines" in caplog.text


def test_what_cannot_be_used_safely_stops_the_start() -> None:
    with pytest.raises(StartError, match="use-pattern = %s:80"):
        build(use_pattern="%s:80")
    with pytest.raises(StartError, match="use-base = no host:"):
        build(use_base="no host:")


def test_a_bad_use_socket_stops_the_start() -> None:
    with pytest.raises(StartError, match="use-socket=:99999"):
        build(use_socket=":99999")


def test_a_fallback_makes_resting_nodes_rest() -> None:
    for fallback, expected in ((("/f",), None), ((), "/to")):
        forwarder = build(to=("/to",), fallback=fallback)
        node = forwarder.choose(asking("key"), (), 0.0)
        assert isinstance(node, Node)
        node.connect_started()
        forwarder.connect_failed(node, 0.0, timed_out=False)
        again = forwarder.choose(asking("key"), (), 1.0)
        assert (again.name if isinstance(again, Node) else None) == expected

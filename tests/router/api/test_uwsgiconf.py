"""uwsgiconf's own calls for its routers and the forwarders run here with only the import changed."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from uwsgiconf.config import Section
from uwsgiconf.options import routing_routers as theirs

import uwsgi_router.router.api as ours
from tests.lab.zerg import zerg_server
from uwsgi_router.router.api import (
    RouterFast,
    RouterForkPty,
    RouterHttp,
    RouterRaw,
    RouterSsl,
    RouterTunTap,
)

METHODS: dict[type[Any], tuple[str, ...]] = {
    RouterFast: (
        "__init__",
        "set_basic_params",
        "set_connections_params",
        "set_owner_params",
        "set_postbuffering_params",
        "set_resubscription_params",
    ),
    RouterHttp: (
        "__init__",
        "set_basic_params",
        "set_connections_params",
        "set_manage_params",
        "set_owner_params",
    ),
    RouterRaw: (
        "__init__",
        "set_basic_params",
        "set_connections_params",
    ),
    RouterSsl: (
        "__init__",
        "set_basic_params",
        "set_connections_params",
    ),
    RouterForkPty: (
        "__init__",
        "set_basic_params",
        "set_connections_params",
        "set_window_params",
    ),
    RouterTunTap: (
        "__init__",
        "set_basic_params",
        "register_route",
        "device_connect",
        "device_add_rule",
        "add_firewall_rule",
    ),
}


def shape(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    parameters = list(inspect.signature(function).parameters.values())
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


@pytest.mark.parametrize(
    ("router", "method"),
    [(router, method) for router, methods in METHODS.items() for method in methods],
)
def test_parameters_are_uwsgiconfs(router: type[Any], method: str) -> None:
    there = getattr(theirs, router.__name__)
    assert shape(getattr(router, method)) == shape(getattr(there, method))


@pytest.mark.parametrize("router", METHODS)
def test_no_method_of_uwsgiconfs_is_missing(router: type[Any]) -> None:
    there = getattr(theirs, router.__name__)
    names = {name for name in dir(there) if name.startswith("set_")}
    assert names == {name for name in METHODS[router] if name.startswith("set_")}


def test_the_forwarders_are_uwsgiconfs() -> None:
    for name in ("cache", "code", "path", "socket", "subscription_server"):
        here, there = (
            getattr(RouterFast.forwarders, name),
            getattr(theirs.RouterFast.forwarders, name),
        )
        assert here.__name__ == there.__name__
        assert here is getattr(ours, here.__name__)
        expected = shape(there.__init__)
        if name == "code":
            # Here the function itself will do, too.
            expected[2] = (*expected[2][:2], None)
        assert shape(here.__init__) == expected


class Place:
    """Addresses for the calls: fixed ones, or some that a router can really start with."""

    def __init__(self, on: str = "127.0.0.1:3113", directory: str = "/tmp/sockets") -> None:
        self.on = on
        self.directory = directory
        self.server = "192.168.0.100:7000" if on == "127.0.0.1:3113" else "127.0.0.1:0"


def fast(router: Any, at: Place) -> Any:
    return (
        router(on=at.on, forward_to=["127.0.0.1:3123", "127.0.0.1:3124"])
        .set_connections_params(defer=5)
        .set_resubscription_params(addresses="127.0.0.1:3114")
        .set_postbuffering_params(size=100)
        .set_owner_params("idle")
    )


def base(router: Any, at: Place) -> Any:
    return router(on=at.on, forward_to=router.forwarders.path(f"{at.directory}/"))


def pattern(router: Any, at: Place) -> Any:
    return router(on=at.on, forward_to=router.forwarders.path(f"{at.directory}/%s/uwsgi.sock"))


def code(router: Any, at: Place) -> Any:
    return router(on=at.on, forward_to=router.forwarders.code("some.py", "funcname"))


def cache(router: Any, at: Place) -> Any:
    return router(on=at.on, forward_to=router.forwarders.cache("mine"))


def socket(router: Any, at: Place) -> Any:
    return router(on=at.on, forward_to=router.forwarders.socket(f"{at.directory}/here.sock"))


def server(router: Any, at: Place) -> Any:
    return router(on=at.on, forward_to=router.forwarders.subscription_server(at.server))


def everything(router: Any, at: Place) -> Any:
    made = router(at.on, forward_to="127.0.0.1:3123")
    made.set_basic_params(
        workers=2,
        zerg_server=f"{at.directory}/zerg",
        fallback_node="127.0.0.1:1",
        concurrent_events=32,
        cheap_mode=True,
        stats_server=f"{at.directory}/stats.sock",
        quiet=True,
        buffer_size=8192,
        fallback_nokey=True,
        subscription_key="key",
        emperor_command_socket="/run/emperor",
    )
    made.set_resubscription_params(["127.0.0.1:3", "127.0.0.1:4"], "127.0.0.1:5")
    made.set_connections_params(1, 2, 3, 4, 5)
    made.set_postbuffering_params(6, at.directory)
    return made.set_owner_params(uid="www-data", gid=33)


def everything_http(router: Any, at: Place) -> Any:
    made = router(at.on, forward_to=["127.0.0.1:3123", "127.0.0.1:3124"])
    made.set_basic_params(
        workers=2,
        zerg_server=f"{at.directory}/zerg",
        fallback_node="127.0.0.1:1",
        concurrent_events=32,
        cheap_mode=True,
        stats_server=f"{at.directory}/stats.sock",
        quiet=True,
        buffer_size=8192,
        keepalive=4,
        resubscribe_addresses=["127.0.0.1:3", "127.0.0.1:4"],
    )
    made.set_connections_params(
        harakiri=1, timeout_socket=2, retry_delay=3, timeout_headers=4, timeout_backend=5
    )
    made.set_manage_params(
        chunked_input=True,
        chunked_output=True,
        gzip=True,
        websockets=True,
        source_method=True,
        rtsp=True,
        proxy_protocol=True,
    )
    return made.set_owner_params(uid="www-data", gid=33)


FORWARDERS = [base, pattern, code, cache, socket, server]
CALLS = [
    *((RouterFast, call) for call in (fast, *FORWARDERS, everything)),
    *((RouterHttp, call) for call in (*FORWARDERS, everything_http)),
]


def lines_of(ini: str) -> list[str]:
    return [line for line in ini.splitlines() if line.startswith(("fastrouter", "http"))]


@pytest.mark.filterwarnings("ignore:.*not yet")
@pytest.mark.parametrize(("router", "call"), CALLS)
def test_the_same_calls_give_the_same_lines(
    router: type[Any], call: Callable[[Any, Place], Any]
) -> None:
    section = Section()
    section.routing.use_router(call(getattr(theirs, router.__name__), Place()))
    expected = lines_of(section.as_configuration().format())
    # uWSGI's magic variable %s would be the file's name; uwsgiconf does not know.
    expected = [line.replace("%", "%%") for line in expected]
    assert sorted(lines_of(call(router, Place()).as_ini())) == sorted(expected)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    (tmp_path / "some.py").write_text("def funcname(key): return None\n")
    monkeypatch.chdir(tmp_path)
    with zerg_server(tmp_path / "zerg"):
        yield Place("127.0.0.1:0", str(tmp_path))


@pytest.mark.filterwarnings("ignore:.*(not yet|only the command)")
@pytest.mark.parametrize(("kind", "call"), CALLS)
async def test_and_each_starts(kind: Any, call: Callable[[Any, Place], Any], place: Place) -> None:
    router = call(kind, place)
    if call is cache:
        router.set_option("cache2", "name=mine,items=10")
    async with router:
        address, *_given = router.addresses
        host, _, port = address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()

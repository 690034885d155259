"""The whole program in one process: real datagrams, real sockets, several routers."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import OK, request
from tests.lab.names import Names
from tests.lab.waiting import until
from tests.router.conftest import Start
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.app import assembly
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import (
    Configuration,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.subscriptions.permission import Tenant


def configured(*routers: RouterConfig, timing: Timing | None = None, **process: Any) -> Instance:
    return Instance(
        Configuration(process=ProcessConfig(defer_accept=False, **process), routers=routers),
        timing=timing,
    )


@pytest.fixture
def free_udp() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


async def ask(path: str) -> bytes:
    sock = socket.socket(socket.AF_UNIX)
    peer = Peer(sock)
    await asyncio.get_running_loop().sock_connect(sock, path)
    await peer.send(request())
    answer = await peer.rest()
    peer.close()
    return answer


def announce(server: str, address: str, key: bytes = b"example.com") -> None:
    host, _, port = server.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(encode(Subscription("subscribe", key, address)), (host, int(port)))


async def test_a_datagram_makes_a_node_that_answers(
    lab: Lab, log: Log, free_udp: str, start: Start
) -> None:
    listen = str(lab.path())
    instance = configured(RouterConfig(listen=(listen,), subscription_servers=(free_udp,)))
    await start(instance)
    announce(free_udp, lab.node().address)
    await log.line("new node")
    assert await ask(listen) == OK


async def test_two_routers_given_the_same_address_share_one_table(
    lab: Lab, log: Log, free_udp: str, start: Start
) -> None:
    first, second = str(lab.path()), str(lab.path())
    instance = configured(
        RouterConfig(listen=(first,), subscription_servers=(free_udp,)),
        RouterConfig(listen=(second,), subscription_servers=(free_udp,), cheap=True),
    )
    await start(instance)
    announce(free_udp, lab.node().address)
    await log.line("leaving cheap mode")
    assert len(log.having("new node")) == 1
    assert [await ask(first), await ask(second)] == [OK, OK]
    one, two = instance.gateways
    assert one.registry is two.registry
    assert [gateway.counters.completed for gateway in (one, two)] == [1, 1]


async def test_several_listeners_of_one_router(lab: Lab, log: Log, start: Start) -> None:
    paths = tuple(str(lab.path()) for _ in range(3))
    instance = configured(RouterConfig(listen=paths, to=(lab.node().address,)))
    await start(instance)
    assert [await ask(path) for path in paths] == [OK] * 3


def test_an_address_that_cannot_be_bound_leaves_nothing_open(tmp_path: Path) -> None:
    good = str(tmp_path / "good")
    instance = configured(
        RouterConfig(listen=(good,)), RouterConfig(listen=("/nonexistent/socket",))
    )
    with pytest.raises(StartError, match="/nonexistent/socket"):
        instance.bind()
    assert not os.path.exists(good)


async def test_stop_removes_the_socket_files(lab: Lab, log: Log) -> None:
    paths = [str(lab.path()) for _ in range(3)]
    instance = configured(
        RouterConfig(listen=(paths[0],), subscription_servers=(paths[1],), stats=(paths[2],))
    )
    instance.bind()
    await instance.start()
    assert set(map(os.path.basename, paths)) <= set(os.listdir(lab.tmp_path))
    await instance.stop(1)
    assert os.listdir(lab.tmp_path) == []


async def test_a_configured_name_stands_for_all_its_addresses_and_follows_them(
    lab: Lab, log: Log, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = lab.node()
    port = node.address.rpartition(":")[2]
    names = Names({"app.test": ["127.0.0.1", "127.0.0.2"]})
    monkeypatch.setattr(assembly, "Resolver", lambda _loop, _is_own: names.resolver())
    listen = str(lab.path())
    router = RouterConfig(listen=(listen,), to=(f"app.test:{port}",))
    instance = configured(router, timing=Timing(resolve_again=0.02))
    await start(instance)
    # Resolved before the first request: none is refused for want of an answer.
    await log.line("now 127.0.0.1, 127.0.0.2")
    assert [await ask(listen) for _ in range(4)] == [OK] * 4
    names.answers["app.test"] = ["127.0.0.1"]
    names.ahead = 60.0
    await until(lambda: len(log.having(f"to = app.test:{port}: now 127.0.0.1")) == 2)
    assert await ask(listen) == OK


async def test_names_that_cannot_be_resolved_do_not_stop_the_start(
    lab: Lab, log: Log, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that does not exist nor several whose servers do not answer."""
    node = lab.node()
    names = Names({"gone.test": [], "a.test": None, "b.test": None, "c.test": None})
    monkeypatch.setattr(assembly, "Resolver", lambda _loop, _is_own: names.resolver())
    listen = str(lab.path())
    to = ("gone.test:1", "a.test:1", "b.test:1", "c.test:1", node.address)
    router = RouterConfig(listen=(listen,), to=to)
    instance = configured(router, timing=Timing(first_look=0.1))
    await start(instance)
    assert "gone.test:1" in await log.line("can't be resolved")
    assert await ask(listen) == OK


@pytest.mark.parametrize("way", ["tcp", "unix", "cache", "control", "announce"])
async def test_the_router_itself_can_not_be_announced(
    way: str, lab: Lab, log: Log, free_udp: str, instances: list[Instance]
) -> None:
    """Nor what else it listens on."""
    cache, control, announces = (str(lab.path()) for _ in range(3))
    listen = "127.0.0.1:0" if way == "tcp" else str(lab.path())
    instance = configured(
        RouterConfig(listen=(listen,), subscription_servers=(free_udp, announces)),
        cache_sockets=(cache,),
        default_cache_items=5,
        control_socket=control,
    )
    instances.append(instance)
    instance.bind()
    (listening,), _, _ = instance.addresses(instance._configuration.routers[0])
    await instance.start()
    others = {"cache": cache, "control": control, "announce": announces}
    announce(free_udp, others.get(way, listening))
    await log.line("is this router itself: requests would go in circles")
    assert next(iter(instance.tables)).registry.empty


async def test_other_users_can_send_where_there_are_tenants(
    lab: Lab, instances: list[Instance]
) -> None:
    for config, mode in (
        (SubscriptionConfig(tenants=(Tenant(1, "a", (b"a",)),)), 0o666),
        (SubscriptionConfig(tenants=(Tenant(1, "a", (b"a",)),), chmod_socket=0o660), 0o660),
        (SubscriptionConfig(chmod_socket=0o640), 0o640),
    ):
        announces = str(lab.path())
        router = RouterConfig(listen=(str(lab.path()),), subscription_servers=(announces,))
        instance = Instance(Configuration(subscription=config, routers=(router,)))
        instances.append(instance)
        instance.bind()
        assert os.stat(announces).st_mode & 0o777 == mode
        await instance.start()

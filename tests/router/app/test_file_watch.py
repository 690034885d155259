"""The file of a listening UNIX socket that is deleted or replaced: the socket is bound again, with one line."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import OK, request
from tests.lab.waiting import until
from tests.router.conftest import Start
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
)
from uwsgi_router.router.proxy.context import Timing

SOON = Timing(look_at_files=0.02)
BOUND = "it is bound again"


class Paths:
    """Sockets of a program that has one of each kind."""

    def __init__(self, lab: Lab) -> None:
        self.all = [str(lab.path()) for _ in range(8)]
        self.router, self.http, self.shared, self.announces = self.all[:4]
        self.stats, self.control, self.cache, self.http_stats = self.all[4:]

    def instance(self, lab: Lab, **process: object) -> Instance:
        node, http_node = lab.node(), lab.http_node()
        settings = {
            "shared_sockets": (self.shared,),
            "control_socket": self.control,
            "cache_sockets": (self.cache,),
            "default_cache_items": 5,
            **process,
        }
        return Instance(
            Configuration(
                process=ProcessConfig(defer_accept=False, **settings),  # type: ignore[arg-type]
                routers=(
                    RouterConfig(
                        listen=(self.router, "=0"),
                        subscription_servers=(self.announces,),
                        stats=(self.stats,),
                        fallback=(node.address,),
                        fallback_on_no_key=True,
                    ),
                    HttpRouterConfig(
                        listen=(self.http,),
                        to=(http_node.address,),
                        backend_http=True,
                        stats=(self.http_stats,),
                    ),
                ),
            ),
            timing=SOON,
        )


async def talk(path: str, data: bytes = b"") -> bytes:
    sock = socket.socket(socket.AF_UNIX)
    peer = Peer(sock)
    try:
        await asyncio.get_running_loop().sock_connect(sock, path)
        if data:
            await peer.send(data)
        peer.eof()
        return await peer.rest()
    finally:
        peer.close()


def announce(path: str, address: str, key: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(encode(Subscription("subscribe", key, address)), path)


async def all_work(paths: Paths, log: Log, key: bytes) -> None:
    """Use each of the sockets once."""
    http = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    assert await talk(paths.router, request()) == OK
    assert await talk(paths.shared, request()) == OK
    assert (await talk(paths.http, http)).startswith(b"HTTP/1.1 200")
    for stats in (paths.stats, paths.http_stats):
        assert (await talk(stats)).startswith(b"{")
    assert b'"ok":true' in await talk(paths.control, b'{"v":1,"do":"status"}\n')
    assert await talk(paths.cache) == b""
    announce(paths.announces, "10.0.0.1:3031", key)
    await log.line(f"[{key.decode()}] new node")


async def test_each_kind_of_socket_is_bound_again(lab: Lab, log: Log, start: Start) -> None:
    paths = Paths(lab)
    await start(paths.instance(lab))
    await all_work(paths, log, b"before")
    modes = {path: os.stat(path).st_mode for path in paths.all}
    for path in paths.all:
        os.unlink(path)
    await until(lambda: len(log.having(BOUND)) == len(paths.all))
    assert {path: os.stat(path).st_mode for path in paths.all} == modes
    await all_work(paths, log, b"after")
    for path in paths.all:
        assert len(log.having(f"{path}: its socket file was deleted; {BOUND}")) == 1


async def test_who_waits_for_the_old_socket_is_served(lab: Lab, log: Log, start: Start) -> None:
    """In cheap mode clients wait in the backlog."""
    path, announces = str(lab.path()), str(lab.path())
    config = RouterConfig(listen=(path,), subscription_servers=(announces,), cheap=True)
    await start(Instance(Configuration(routers=(config,)), timing=SOON))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    waiting = Peer(sock)
    await waiting.send(request())
    os.unlink(path)
    await log.line(BOUND)
    announce(announces, lab.node().address, b"example.com")
    await log.line("leaving cheap mode")
    # It was accepted, and waited: it was not reset.
    assert await waiting.rest() == OK
    waiting.close()
    assert await talk(path, request()) == OK


async def test_the_file_of_somebody_else_is_left_alone_and_told_once(
    lab: Lab, log: Log, start: Start
) -> None:
    path = str(lab.path())
    config = RouterConfig(listen=(path,), to=(lab.node().address,))
    await start(Instance(Configuration(routers=(config,)), timing=SOON))
    theirs = socket.socket(socket.AF_UNIX)
    os.unlink(path)
    theirs.bind(path)
    theirs.listen(100)
    line = await log.line("can't be bound again")
    assert line.endswith(
        "was replaced, and can't be bound again: another process listens there; stop it first"
    )
    before = os.stat(path).st_ino
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(0.5)
    assert os.stat(path).st_ino == before
    assert len(log.having("bound again")) == 1
    theirs.close()
    await log.line(f"{path}: its socket file was replaced; {BOUND}")
    assert await talk(path, request()) == OK


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("/etc")])
async def test_what_is_no_socket_is_left_alone(
    lab: Lab, log: Log, start: Start, make: Callable[[Path], None]
) -> None:
    path = lab.path()
    config = RouterConfig(listen=(str(path),), to=(lab.node().address,))
    await start(Instance(Configuration(routers=(config,)), timing=SOON))
    path.unlink()
    make(path)
    before = path.lstat()
    await log.line("a file that is not a socket is there; move it away")
    assert path.lstat() == before
    path.rename(path.with_name("away"))
    await log.line(BOUND)
    assert await talk(str(path), request()) == OK


async def test_the_router_itself_can_not_be_announced_afterwards_either(
    lab: Lab, log: Log, start: Start
) -> None:
    paths = Paths(lab)
    await start(paths.instance(lab))
    os.unlink(paths.router)
    await log.line(BOUND)
    announce(paths.announces, paths.router, b"loop")
    await log.line("is this router itself: requests would go in circles")


async def test_the_stop_leaves_no_file_behind_and_binds_none_again(
    lab: Lab, log: Log, instances: list[Instance]
) -> None:
    paths = Paths(lab)
    instance = paths.instance(lab)
    instance.bind()
    await instance.start()
    os.unlink(paths.router)
    await log.line(BOUND)
    os.unlink(paths.http)
    await instance.stop(0)
    assert os.listdir(lab.tmp_path) == []

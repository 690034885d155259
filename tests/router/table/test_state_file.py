"""The table from one run to the next."""

import asyncio
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.log import Log
from tests.lab.waiting import until
from tests.router.conftest import Start
from uwsgi_router.protocol.subscription import Subscription, encode
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import (
    Configuration,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.table.state_file import StateFile, read, write
from uwsgi_router.router.table.table import Table
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.grant import Grant
from uwsgi_router.subscriptions.permission import PortRange, Tenant
from uwsgi_router.subscriptions.sender import Credentials
from uwsgi_router.subscriptions.sni import Sni
from uwsgi_router.subscriptions.state import StateError

WALL = 1_795_231_304.0
KEY = b"example.com"
SERVER = "127.0.0.1:3032"


class Run:
    """A table with its file; ``wall`` is what the clock says."""

    def __init__(
        self, path: Path, wall: float = WALL, timing: TableTiming | None = None, **config: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        self.table = Table(SubscriptionConfig(state=str(path), **config), loop)
        self.file = StateFile(
            str(path), {SERVER: self.table}, loop, wall_clock=lambda: wall, timing=timing
        )
        self.file.restore()

    def announce(
        self,
        address: str = "127.0.0.1:4001",
        key: bytes = KEY,
        *,
        command: Any = "subscribe",
        source: str | None = "127.0.0.1",
        grant: Grant | None = None,
        sni: Sni | None = None,
        **fields: Any,
    ) -> None:
        registry = self.table.registry
        subscription = Subscription(command, key, address, **fields)
        now = asyncio.get_running_loop().time()
        self.table.report(
            registry.apply(subscription, source=source, now=now, grant=grant or Grant(), sni=sni)
        )

    def nodes(self, key: bytes = KEY) -> list[str]:
        pool = self.table.registry.pools.get(key)
        return [] if pool is None else [node.name for node in pool.nodes]

    async def end(self) -> None:
        await self.file.close()
        self.table.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_the_next_run_has_the_nodes_and_knows_the_keys(path: Path, log: Log) -> None:
    first = Run(path)
    first.announce(weight=3)
    first.announce("127.0.0.1:4002", b"gone.example")
    first.announce("127.0.0.1:4002", b"gone.example", command="unsubscribe")
    await first.end()
    second = Run(path, WALL + 35)
    await log.line("1 nodes restored, saved 35 s ago")
    assert second.nodes() == ["127.0.0.1:4001"]
    now = asyncio.get_running_loop().time()
    registry = second.table.registry
    node = registry.choose(KEY)
    assert node is not None
    assert (node.name, node.weight, node.last_seen) == ("127.0.0.1:4001", 3, node.last_seen)
    assert now - node.last_seen < 5
    assert registry.is_known(b"gone.example", now + 1000)
    assert not registry.is_known(b"gone.example", now + 3600)
    assert not registry.is_known(b"other.example", now + 1000)
    assert len(log.having("new node")) == 2  # those of the first run
    await second.end()


async def test_there_is_no_line_about_a_file_that_is_not_there(path: Path, log: Log) -> None:
    run = Run(path)
    assert log.having("state") == []
    await run.end()


def mode_of(path: Path) -> int:
    return path.lstat().st_mode


def inode_of(path: Path) -> int:
    return path.lstat().st_ino


def spoil(path: Path, how: str) -> None:
    if how == "corrupt":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "world-writable":
        path.chmod(0o602)
    elif how == "group-writable":
        path.chmod(0o620)
    elif how == "link":
        path.rename(path.with_name("other"))
        path.symlink_to("other")
    elif how == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif how == "directory":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("corrupt", "its last line has no end"),
        ("world-writable", "others may write to it (mode 602)"),
        ("group-writable", "others may write to it (mode 620)"),
        ("link", "it is a symbolic link"),
        ("fifo", "it is no file"),
        ("directory", "it is no file"),
    ],
)
async def test_what_somebody_else_could_have_written_is_not_used(
    path: Path, log: Log, how: str, reason: str
) -> None:
    first = Run(path)
    first.announce()
    await first.end()
    spoil(path, how)
    second = Run(path)
    assert second.nodes() == []
    (line,) = log.having("is not used")
    assert f"{path} is not used, the table starts empty: {reason}" in line
    if how != "directory":
        await second.end()
        assert mode_of(path) == stat.S_IFREG | 0o600
    else:
        second.table.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")
def test_a_file_of_somebody_else_is_not_read(path: Path) -> None:
    write(str(path), [b"x"])
    os.chown(path, 12345, -1)
    with pytest.raises(StateError, match="it belongs to user 12345"):
        read(str(path))


def test_a_file_is_replaced_whole_or_not_at_all(path: Path) -> None:
    path.write_text("old")
    write(str(path), [b"n", b"ew"])
    assert path.read_text() == "new"
    with pytest.raises(TypeError):
        write(str(path), [b"half", None])  # type: ignore[list-item]
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["state"]


async def test_changes_are_written_soon_and_not_for_each_announce(path: Path, log: Log) -> None:
    run = Run(path, timing=TableTiming(save_soon=0.02, save_again=0.02))
    run.file.start()
    run.announce()
    await until(path.exists)
    before = inode_of(path)
    for _ in range(10):
        run.announce()
    # Not a wait for something: time in which nothing may happen.
    await asyncio.sleep(0.2)
    assert inode_of(path) == before
    run.announce("127.0.0.1:4002")
    await until(lambda: b"4002" in path.read_bytes())
    await run.end()


async def test_a_directory_that_takes_nothing_is_told_once(tmp_path: Path, log: Log) -> None:
    run = Run(tmp_path / "missing" / "state")
    run.file.start()
    await log.line("can't be written: no right to write into")
    await run.end()
    await run.file.close()
    assert len(log.having("No such file or directory")) == 1


async def test_a_large_table_is_written_without_keeping_anybody_waiting(
    path: Path, log: Log
) -> None:
    run = Run(path, timing=TableTiming(save_soon=0.0))
    for number in range(20_000):
        run.table.registry.apply(
            Subscription("subscribe", b"k%d" % (number // 10), f"10.0.0.1:{number + 1}"),
            source=None,
            now=0.0,
        )
    run.file.start()
    # Of our own: on a busy machine others take their share.
    longest, turns = 0.0, 0
    run.announce()
    written = path.exists
    while not written():
        began = time.thread_time()
        await asyncio.sleep(0)
        longest, turns = max(longest, time.thread_time() - began), turns + 1
    assert turns > 20
    assert longest < 0.1
    assert len(read(str(path)).tables[0].nodes) == 20_001
    await run.end()


# --- What is asked again ---

ME = Credentials(7, os.getuid(), os.getgid())
OWNED = Grant(ME, ME.uid, None)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"own_address": True}, "is not an address of the sender's"),
        ({"use_credentials": True}, "nobody vouches for its user"),
        ({"max_keys": 0}, "no room for the key"),
        ({"is_own": True}, "is this router itself"),
    ],
)
async def test_what_may_not_be_announced_any_more_is_left_out(
    path: Path, log: Log, config: dict[str, Any], reason: str
) -> None:
    first = Run(path)
    first.announce("10.0.0.9:4001", source="10.0.0.1")
    await first.end()
    if "is_own" in config:
        loop = asyncio.get_running_loop()
        table = Table(SubscriptionConfig(), loop, is_own=lambda _address: True)
        StateFile(str(path), {SERVER: table}, loop, wall_clock=lambda: WALL).restore()
        table.close()
    else:
        run = Run(path, **config)
        assert run.nodes() == []
        run.table.close()
    assert reason in await log.line("1 nodes left out, the first one because: ")


async def test_a_tenant_has_its_nodes_again_and_no_others(
    path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Run(path)
    first.announce("10.0.0.1:1", b"mine", source=None, grant=OWNED)
    first.announce("10.0.0.1:1", b"theirs", source=None, grant=OWNED)
    first.announce("10.0.0.1:1", b"nobody's", source=None, grant=Grant(Credentials(1, 54321, 1)))
    await first.end()
    tenant = Tenant(ME.uid, "me", (b"mine",), ports=(PortRange("10.0.0.1", 1, 1),))
    second = Run(path, use_credentials=True, tenants=(tenant,))
    assert list(second.table.registry.pools) == [b"mine"]
    node = second.table.registry.choose(b"mine")
    assert node is not None
    assert (node.owner, node.uid, node.pid) == (ME.uid, ME.uid, 7)
    await log.line("2 nodes left out")
    second.table.close()


async def test_what_was_not_signed_is_not_taken_where_it_must_be(
    path: Path, tmp_path: Path, log: Log
) -> None:
    from tests.subscriptions.signing import KEY as SIGNED
    from tests.subscriptions.signing import publish, rsa_key
    from uwsgi_router.subscriptions.signature import SignCheck

    keys = tmp_path / "keys"
    keys.mkdir()
    publish(keys, rsa_key())
    check = SignCheck("SHA256", str(keys))
    first = Run(path)
    first.announce("127.0.0.1:1", SIGNED)
    await first.end()
    second = Run(path, sign_check=check)
    assert second.nodes(SIGNED) == []
    await log.line("it did not have to be signed then")
    # Announced with a signature, as far as the table can tell.
    second.announce("127.0.0.1:1", SIGNED)
    assert second.table.used_times is not None
    second.table.used_times.use("k.pem", (SIGNED, "127.0.0.1:1"), "subscribe", 1000)
    second.announce("127.0.0.1:2", b"keyless")
    await second.end()
    third = Run(path, sign_check=check)
    assert third.nodes(SIGNED) == ["127.0.0.1:1"]
    assert third.nodes(b"keyless") == []
    await log.line("no public key")
    # A packet that was recorded before the restart still does nothing.
    assert third.table.used_times is not None
    asked = "k.pem", (SIGNED, "127.0.0.1:1")
    assert not third.table.used_times.allows(*asked, "subscribe", 1000)
    assert third.table.used_times.allows(*asked, "subscribe", 1001)
    third.table.close()


async def test_a_clock_that_was_ahead_when_the_file_was_saved_locks_no_signed_node_out(
    path: Path, tmp_path: Path, log: Log
) -> None:
    from tests.subscriptions.signing import KEY as SIGNED
    from tests.subscriptions.signing import publish, rsa_key
    from uwsgi_router.subscriptions.signature import SignCheck

    publish(tmp_path, rsa_key())
    check = SignCheck("SHA256", str(tmp_path))
    asked = "k.pem", (SIGNED, "127.0.0.1:1"), "subscribe"
    wrong, right = int(WALL) + 3600, int(WALL) + 20
    first = Run(path, wrong, sign_check=check)
    assert first.table.used_times is not None
    first.table.used_times.use(*asked, wrong)  # type: ignore[arg-type]
    await first.end()
    second = Run(path, right, sign_check=check)
    await log.line("the clock went back by 3580 s")
    assert second.table.used_times is not None
    assert second.table.used_times.allows(*asked, right + 1)  # type: ignore[arg-type]
    for recorded in (right, wrong):
        assert not second.table.used_times.allows(*asked, recorded)  # type: ignore[arg-type]
    await second.end()
    third = Run(path, right + 5, sign_check=check)
    assert third.table.used_times is not None
    assert third.table.used_times.allows(*asked, right + 6)  # type: ignore[arg-type]
    assert not third.table.used_times.allows(*asked, wrong)  # type: ignore[arg-type]
    await third.end()
    assert len(log.having("went back")) == 1


async def test_certificates_are_looked_at_again(path: Path, tmp_path: Path, log: Log) -> None:
    file = os.fsencode(tmp_path / "a.pem")
    (tmp_path / "a.pem").touch()
    first = Run(path)
    first.announce(sni=Sni(file, file))
    await first.end()
    second = Run(path, sni_allow_dirs=(str(tmp_path),))
    assert second.table.registry.pools[KEY].sni == Sni(file, file)
    second.table.close()
    third = Run(path)
    assert third.table.registry.pools[KEY].sni is None
    third.table.close()


# --- The program ---


async def test_each_table_of_the_program_has_its_place_in_the_file(
    tmp_path: Path, path: Path, instances: list[Instance], start: Start, log: Log
) -> None:
    servers = [str(tmp_path / "one"), str(tmp_path / "two")]
    routers = tuple(
        RouterConfig(listen=(f"{server}.listen",), subscription_servers=(server,))
        for server in servers
    )
    configuration = Configuration(ProcessConfig(), SubscriptionConfig(state=str(path)), routers)

    async def started() -> list[list[bytes]]:
        await start(instance := Instance(configuration))
        return keys(instance)

    def keys(instance: Instance) -> list[list[bytes]]:
        return [list(g.registry.pools) for g in instance.gateways if g.registry is not None]

    assert await started() == [[], []]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for key, server in zip((b"k1", b"k2"), servers, strict=True):
            sock.sendto(encode(Subscription("subscribe", key, "/a")), server)
    await until(lambda: keys(instances[0]) == [[b"k1"], [b"k2"]])
    await instances.pop().stop(0)
    assert [one.name for one in read(str(path)).tables] == servers
    assert await started() == [[b"k1"], [b"k2"]]

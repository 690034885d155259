"""What each sender may announce."""

import ipaddress
import os
import socket
from pathlib import Path

import pytest

from uwsgi_router.protocol.address import InetAddress, UnixAddress, parse_node_address
from uwsgi_router.protocol.subscription import Command, Subscription
from uwsgi_router.subscriptions.node_address import ip_of, node_address
from uwsgi_router.subscriptions.permission import (
    FORBIDDEN_MODIFIERS,
    PortRange,
    Tenant,
    check_modifiers,
    check_network,
    check_own_address,
    key_matches,
)
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Credentials, Sender

ALICE = Tenant(
    os.getuid(),
    "alice",
    (b"*.alice.example", b"alice.example"),
    ports=(PortRange("127.0.0.1", 4000, 4099),),
)


def udp(address: str) -> Sender:
    return Sender(address, address)


def ask(
    tenant: Tenant,
    address: str = "127.0.0.1:4000",
    key: bytes = b"www.alice.example",
    command: Command = "subscribe",
) -> None:
    tenant.check(Subscription(command, key, address), parse_node_address(address))


@pytest.mark.parametrize(
    ("pattern", "key", "covered"),
    [
        (b"*.a.example", b"www.a.example", True),
        (b"*.a.example", b"x.y.a.example", True),
        (b"*.a.example", b".a.example", True),
        (b"*.a.example", b"a.example", False),
        (b"*.a.example", b"xa.example", False),
        (b"*.a.example", b"www.a.example.evil", False),
        # The host's owner has its ports and paths, and nobody has another host's.
        (b"*.a.example", b"www.a.example:8080", True),
        (b"*.a.example", b"www.a.example/shop", True),
        (b"*.a.example", b"www.a.example:8080/shop", True),
        (b"*.a.example", b"www.b.example/.a.example", False),
        (b"*.a.example", b"www.b.example:80.a.example", False),
        (b"*:8080", b"www.a.example:8080", True),
        (b"*.a.example", b".b.example", False),
        (b"*.a.example", b".example", False),
        (b"*", b"anything:80/at/all", True),
        # A pattern with a slash is about mountpoints.
        (b"shared.example/a", b"shared.example/a", True),
        (b"shared.example/a", b"shared.example/b", False),
        (b"shared.example/a", b"shared.example", False),
        (b"shared.example/a*", b"shared.example/a/b", False),
        (b"shared.example/a/*", b"shared.example/a/b", True),
        (b"*/a", b"www.b.example/c/a", False),
        (b"K", b"k", False),
    ],
)
def test_which_keys_a_pattern_covers(pattern: bytes, key: bytes, covered: bool) -> None:
    assert key_matches(pattern, key) is covered


def test_a_tenant_has_its_keys_and_ports_and_nothing_else() -> None:
    ask(ALICE)
    ask(ALICE, "127.0.0.1:4099", b"alice.example")
    with pytest.raises(Refused, match=r"the key b'www.bob.example' is not one of alice's"):
        ask(ALICE, key=b"www.bob.example")
    redis = ("127.0.0.1:6379", "127.0.0.1:3999", "127.0.0.1:4100")
    elsewhere = ("127.0.0.2:4000", "[::1]:4000", "localhost:4000", "10.0.0.1:4000")
    for address in redis + elsewhere:
        with pytest.raises(Refused, match="is not one of alice's") as refused:
            ask(ALICE, address)
        assert refused.value.cause == "tenant"
        with pytest.raises(Refused):
            ask(ALICE, address, command="unsubscribe")


def test_addresses_are_compared_not_their_spelling() -> None:
    assert InetAddress("::ffff:127.0.0.1", 4000) in ALICE.ports[0]
    assert InetAddress("0:0::1", 80) in PortRange("::1", 80, 80)
    assert InetAddress("App.Example", 80) in PortRange("app.example", 80, 80)
    assert InetAddress("app.example", 80) not in PortRange("127.0.0.1", 80, 80)


class Sockets:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mine = self._bind("mine.sock")

    def _bind(self, name: str) -> str:
        path = str(self.directory / name)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
        return path


@pytest.fixture
def sockets(tmp_path: Path) -> Sockets:
    return Sockets(tmp_path)


def test_a_tenants_socket_must_be_the_tenants(sockets: Sockets) -> None:
    ask(ALICE, sockets.mine)
    bob = Tenant(os.getuid() + 1, "bob", (b"*",))
    with pytest.raises(Refused, match="is not a socket of bob's"):
        ask(bob, sockets.mine)
    link = sockets.directory / "link"
    link.symlink_to(sockets.mine)
    with pytest.raises(Refused, match="is not a socket of bob's"):
        ask(bob, str(link))
    ask(ALICE, str(link))
    file = sockets.directory / "file"
    file.touch()
    for path in (file, sockets.directory / "gone"):
        with pytest.raises(Refused, match="is not a socket of alice's"):
            ask(ALICE, str(path))


def test_who_leaves_may_have_removed_the_socket(sockets: Sockets) -> None:
    os.unlink(sockets.mine)
    ask(ALICE, sockets.mine, command="unsubscribe")


def test_paths_can_be_narrowed_and_not_be_walked_out_of(sockets: Sockets) -> None:
    inside = sockets.directory / "inside"
    inside.mkdir()
    pattern = os.fsencode(inside) + b"/*"
    alice = Tenant(os.getuid(), "alice", (b"*",), paths=(pattern,))
    with pytest.raises(Refused, match="is not one of alice's"):
        ask(alice, sockets.mine)
    with pytest.raises(Refused, match="is not a plain absolute path"):
        ask(alice, f"{inside}/../mine.sock")
    with pytest.raises(Refused, match="is not a plain absolute path"):
        ask(alice, "mine.sock")
    os.rename(sockets.mine, inside / "mine.sock")
    ask(alice, str(inside / "mine.sock"))


def test_abstract_names_belong_to_nobody() -> None:
    for address in ("@name", "\0name"):
        with pytest.raises(Refused, match="belongs to nobody"):
            ask(ALICE, address)


def test_networks() -> None:
    networks = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/16")]
    for address in ("10.1.2.3", "fd00::1", "::ffff:10.0.0.1"):
        check_network(networks, udp(address))
    check_network(networks, Sender("unix"))
    for address in ("11.0.0.1", "fe80::1%eth0", "127.0.0.1"):
        with pytest.raises(Refused, match="does not name this sender's network"):
            check_network(networks, udp(address))


@pytest.mark.parametrize("modifier1", FORBIDDEN_MODIFIERS)
def test_what_runs_code_or_touches_caches_is_no_node(modifier1: int) -> None:
    with pytest.raises(Refused, match=f"modifier1 {modifier1} ") as refused:
        check_modifiers(Subscription("subscribe", b"k", ":1", modifier1=modifier1))
    assert refused.value.cause == "modifier"
    check_modifiers(Subscription("unsubscribe", b"k", ":1", modifier1=modifier1))
    check_modifiers(Subscription("subscribe", b"k", ":1", modifier2=modifier1))


@pytest.mark.parametrize(
    ("announced", "source", "own"),
    [
        ("10.0.0.1:80", "10.0.0.1", True),
        ("10.0.0.2:80", "10.0.0.1", False),
        (":80", "10.0.0.1", True),
        ("[fd00::1]:80", "fd00::1", True),
        ("[fd00::2]:80", "fd00::1", False),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1", True),
        ("[fe80::1%eth0]:80", "fe80::1%2", True),
        ("127.0.0.1:80", "127.0.0.1", True),
        ("127.0.0.9:80", "127.0.0.1", True),
        ("[::1]:80", "127.0.0.1", True),
        ("10.0.0.1:80", "127.0.0.1", False),
        ("127.0.0.1:80", "10.0.0.1", False),
        ("app.example:80", "10.0.0.1", False),
        ("localhost:80", "127.0.0.1", False),
        ("/run/app.sock", "10.0.0.1", False),
        ("@app", "10.0.0.1", False),
        ("/run/app.sock", "127.0.0.1", True),
    ],
)
def test_own_addresses(announced: str, source: str, own: bool) -> None:
    address = node_address(announced, source)[1]
    if own:
        check_own_address(address, udp(source))
    else:
        with pytest.raises(Refused) as refused:
            check_own_address(address, udp(source))
        assert refused.value.cause == "own-address"


def test_over_unix_sockets_there_is_no_address_to_compare() -> None:
    check_own_address(InetAddress("10.0.0.1", 80), Sender("unix"))
    check_own_address(UnixAddress(b"/run/app.sock"), Sender("unix"))


def test_who_is_on_this_machine() -> None:
    assert Sender("unix", None, Credentials(1, 2, 3)).is_local
    assert udp("127.0.0.1").is_local
    assert udp("::1").is_local
    assert not udp("10.0.0.1").is_local
    assert not udp("fe80::1%2").is_local
    assert ip_of("app.example") is None

"""Real uWSGI instances that sign or show their user; and what somebody who records or forges achieves: nothing."""

import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.lab import programs
from tests.lab.clients import answer_of
from tests.lab.commands import Router
from tests.lab.messages import HOST, from_web_server
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.servers import Vassal
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription, decode, encode
from uwsgi_router.router.cli.keys import make_pair

pytestmark = pytest.mark.peers

ME, BOB = os.getuid(), 2002
needs_root = pytest.mark.skipif(ME != 0, reason="only root can send as another user")


@pytest.fixture
def make_keys(lab: Place) -> Callable[[str], Path]:
    """Make a pair of keys where the router looks for the public one; return the private one's path."""
    directory = lab.directory / "keys"
    directory.mkdir()
    return lambda kind: Path(make_pair(HOST, str(directory), kind)[0])


def signing_router(lab: Place, digest: str, *options: str, **settings: str) -> Router:
    check = f"--subscriptions-sign-check={digest}:{lab.directory}/keys"
    return lab.router(check, *options, **settings)


def signing_vassal(lab: Place, announce_to: str, digest: str, key: Path) -> Vassal:
    entry = f"{announce_to}:{HOST},0,{digest}:{key}"
    return lab.vassal("signing", None, options=["--subscribe-to", entry])


def refusals(router: Router) -> list[str]:
    return [line for line in router.output().splitlines() if "refused a subscription" in line]


def ask(router: Router) -> bytes:
    """Return the answer to one request for our key."""
    return answer_of(router.address, from_web_server())


@pytest.mark.parametrize("transport", ["udp", "unix"])
@pytest.mark.parametrize("digest", ["SHA1", "SHA256"])
@pytest.mark.parametrize("kind", ["rsa2048", "ec"])
def test_signed_announces_and_unsubscribes_are_obeyed(
    lab: Place, make_keys: Callable[[str], Path], kind: str, digest: str, transport: str
) -> None:
    settings = {"announce": f"{lab.directory}/announce.sock"} if transport == "unix" else {}
    router = signing_router(lab, digest, **settings)
    vassal = signing_vassal(lab, router.announce, digest, make_keys(kind))
    router.wait_for_nodes(vassal.address)
    assert ask(router).startswith(b"HTTP/1.1 200 ")
    vassal.stop()
    router.wait_for_nodes()
    assert "it unsubscribed" in router.output()
    assert refusals(router) == []


class Relay:
    """Stands between a vassal and the router, as somebody who listens to all their packets."""

    def __init__(self, lab: Place) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        lab.closing(self.sock)
        self.sock.bind(("127.0.0.1", free_port(socket.SOCK_DGRAM)))
        self.sock.settimeout(15)
        self.address = "{}:{}".format(*self.sock.getsockname())

    def record(self, command: str) -> bytes:
        """Return the next packet with this command."""
        while decode(datagram := self.sock.recv(4096)).command != command:
            pass
        return datagram


def flipped(datagram: bytes) -> bytes:
    return datagram[:3] + bytes([1 - datagram[3]]) + datagram[4:]


def dated(datagram: bytes, key: Path, unix: int) -> bytes:
    """Sign the same announce for another time, as the owner of the key could."""
    pair = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(pair, rsa.RSAPrivateKey)
    plain = replace(decode(datagram), unix=unix, sign=None)
    sign = pair.sign(encode(plain)[4:], padding.PKCS1v15(), hashes.SHA256())
    return encode(replace(plain, sign=sign))


def test_recorded_changed_dated_and_unsigned_packets_change_nothing(
    lab: Place, make_keys: Callable[[str], Path]
) -> None:
    key = make_keys("rsa2048")
    router = signing_router(lab, "SHA256")
    relay = Relay(lab)
    vassal = signing_vassal(lab, relay.address, "SHA256", key)
    first = relay.record("subscribe")
    router.say(first)
    router.wait_for_nodes(vassal.address)

    now = int(time.time())
    subscription = decode(first)
    tampered = dated(first, key, now + 1).replace(b"127.0.0.1", b"127.0.0.6")
    unsigned = encode(replace(subscription, sign=None))
    attacks = {
        "was used before": [first, flipped(first)] * 5,
        "does not fit": [tampered, flipped(tampered)] * 5,
        "ahead": [dated(first, key, now + 10_000), flipped(dated(first, key, 2**40))] * 5,
        "is not signed": [unsigned, flipped(unsigned)] * 5,
        "modifier2 is 7": [first[:3] + b"\7" + first[4:]],
    }
    for datagrams in attacks.values():
        router.say(*datagrams)
    for cause in attacks:
        router.wait_for_output(cause)
    router.wait_for_nodes(vassal.address)

    vassal.stop()
    last = relay.record("unsubscribe")
    router.say(last)
    router.wait_for_nodes()
    # What is left after it: neither its command turned nor anything older brings the node back.
    end = encode(Subscription("subscribe", b"end.example", "127.0.0.1:1"))
    router.say(flipped(last), first, last, end)
    router.wait_for_output("for end.example")
    assert router.nodes() == {}
    lines = refusals(router)
    for cause in attacks:
        found = [line for line in lines if cause in line and "end.example" not in line]
        assert len(found) == 1, found
    assert f"for {HOST}: its time" in router.output()


def our_client(lab: Place, server: str, key: Path) -> None:
    """Announce a node by our own client, which signs."""
    options = ("--server", server, "--key", HOST, "--sign", f"SHA256:{key}", "--drain", "0")
    program = (sys.executable, "-m", "http.server", "-b", "{host}", "{port}")
    argv = (programs.uwsgi_router(), "subscribe", *options, "--address", OURS, "--", *program)
    lab.program("ours", *argv)


OURS = "127.0.0.1:4999"


def test_a_fresh_announce_of_our_own_client_can_not_be_turned_into_an_unsubscribe(
    lab: Place, make_keys: Callable[[str], Path]
) -> None:
    key = make_keys("rsa2048")
    router = signing_router(lab, "SHA256", "--subscriptions-sign-command")
    relay = Relay(lab)
    our_client(lab, relay.address, key)
    router.say(relay.record("subscribe"))
    router.wait_for_nodes(OURS)
    # The next one is held back, and turned.
    router.say(flipped(relay.record("subscribe")))
    router.wait_for_output("it was changed on its way")
    router.wait_for_nodes(OURS)


def test_a_server_that_demands_a_signed_command_refuses_uwsgis_announces_and_says_so(
    lab: Place, make_keys: Callable[[str], Path]
) -> None:
    router = signing_router(lab, "SHA256", "--subscriptions-sign-command")
    signing_vassal(lab, router.announce, "SHA256", make_keys("rsa2048"))
    router.wait_for_output("its signature does not cover its command")
    assert router.nodes() == {}


class Sender:
    """Sends over the router's UNIX socket, as any user."""

    def __init__(self, lab: Place, router: Router) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        lab.closing(self.sock)
        self.sock.connect(router.announce)

    def send(self, uid: int, subscription: Subscription) -> None:
        credentials = struct.pack("3i", os.getpid(), uid, uid)
        self.sock.sendmsg(
            [encode(subscription)],
            [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)],
        )


@needs_root
def test_a_tenant_has_no_way_to_another_tenants_host_or_socket(lab: Place) -> None:
    router = lab.router(
        f"--subscriptions-tenant=uid={ME},keys={HOST},nodes={lab.directory}/*|127.0.0.1:20000-32000,max-keys=1",
        f"--subscriptions-tenant=uid={BOB},keys=*.bob.example,nodes=/*|127.0.0.1:4000-4099,max-keys=2",
        announce=f"{lab.directory}/announce.sock",
    )
    (lab.directory / "alice").mkdir()
    alice = lab.vassal("alice", router, address=f"{lab.directory}/alice/app.sock")
    router.wait_for_nodes(alice.address)
    (node,) = router.nodes().values()
    assert (node["uid"], node["gid"]) == (ME, os.getgid())
    assert node["pid"] == alice.pid

    bob, key = Sender(lab, router), HOST.encode()
    attacks: dict[str, tuple[int, Subscription]] = {
        f"the key {key!r} is not one of": (BOB, Subscription("subscribe", key, "127.0.0.1:4000")),
        "alice/app.sock is not a socket of": (
            BOB,
            Subscription("subscribe", b"1.bob.example", alice.address),
        ),
        "the address 127.0.0.1:6379 is not one of": (
            BOB,
            Subscription("subscribe", b"2.bob.example", "127.0.0.1:6379"),
        ),
        f"{router.address} is this router itself": (
            ME,
            Subscription("subscribe", key, router.address),
        ),
        "modifier1 22 runs code": (
            BOB,
            Subscription("subscribe", b"5.bob.example", "127.0.0.1:4000", modifier1=22),
        ),
        "user 2003 is no": (2003, Subscription("subscribe", key, alice.address)),
    }
    for uid, subscription in attacks.values():
        for _ in range(5):
            bob.send(uid, subscription)
            bob.send(uid, replace(subscription, command="unsubscribe"))
    bob.send(BOB, Subscription("unsubscribe", key, alice.address))
    for cause in attacks:
        router.wait_for_output(cause)
    # What is Bob's goes on, up to his share.
    for number in range(3):
        bob.send(BOB, Subscription("subscribe", b"%d.bob.example" % number, "127.0.0.1:4000"))
    router.wait_for_output("has 2 keys already (max-keys)")
    pools = {pool["key"]: len(pool["nodes"]) for pool in router.stats()["subscriptions"]}
    assert pools == {HOST: 1, "0.bob.example": 1, "1.bob.example": 1}

    router.wait_for_nodes(alice.address)
    assert ask(router).startswith(b"HTTP/1.1 200 ")
    for cause in attacks:
        found = [line for line in refusals(router) if cause in line]
        assert len(found) <= 2, found  # the same for an unsubscribe counts as the same
    alice.stop()
    router.wait_for_nodes()


def test_a_socket_that_is_exchanged_after_the_announce_is_not_connected(lab: Place) -> None:
    """A tenant announces a socket of its own, and puts a link to another user's in its place."""
    router = lab.router(
        f"--subscriptions-tenant=uid={ME},keys={HOST}", announce=f"{lab.directory}/announce.sock"
    )
    path = lab.directory / "mine.sock"
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind(str(path))
        mine.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(
                encode(Subscription("subscribe", HOST.encode(), str(path))), router.announce
            )
        router.wait_for_nodes(str(path))
        path.unlink()
        path.symlink_to("/dev/null")
        assert ask(router) == b""
    router.wait_for_output("belongs to user" if ME else "is no socket")


def test_users_are_asked_for_their_files(lab: Place) -> None:
    keys = lab.directory / "keys"
    keys.mkdir()
    (keys / HOST).touch()
    router = lab.router(
        "--subscriptions-use-credentials",
        f"--subscriptions-credentials-check={keys}/",
        announce=f"{lab.directory}/announce.sock",
    )
    vassal = lab.vassal("vassal", router, options=["--subscriptions-use-credentials"])
    router.wait_for_nodes(vassal.address)
    (keys / HOST).rename(keys / "other")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        leave = Subscription("unsubscribe", HOST.encode(), vassal.address)
        sock.sendto(encode(leave), router.announce)
    router.wait_for_output("have no file for the key")
    router.wait_for_nodes(vassal.address)
    (keys / "other").rename(keys / HOST)
    vassal.stop()
    router.wait_for_nodes()


@pytest.mark.parametrize("transport", ["udp", "unix"])
def test_a_vassal_hears_that_it_was_taken_in(lab: Place, transport: str) -> None:
    settings = {"announce": f"{lab.directory}/announce.sock"} if transport == "unix" else {}
    router = lab.router(**settings)
    notify = f"{lab.directory}/notify.sock"
    vassal = lab.vassal("vassal", router, options=["--notify-socket", notify])
    text = f"[subscription ack] {HOST} => new node: {vassal.address}"
    vassal.wait_for_output(text)
    wait_until(router.nodes, "the node is there")
    assert vassal.output().count(text) == 1

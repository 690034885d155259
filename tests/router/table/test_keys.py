"""Keys as nodes announce them and requests ask for them, from the datagram to the answer."""

import asyncio
import socket

import pytest

from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import packet
from uwsgi_router.protocol.uwsgi import encode_packet


def datagram(key: bytes, address: str, *variables: tuple[bytes, bytes]) -> bytes:
    """An announce as any program might send it."""
    return encode_packet([(b"key", key), (b"address", address.encode()), *variables], 224)


class Announcer:
    """A subscription server at a path, and a socket that announces to it and hears its answers."""

    def __init__(self, lab: Lab) -> None:
        self.server = str(lab.path())
        self.path = str(lab.path())
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.setblocking(False)

    def say(self, data: bytes) -> None:
        self.sock.sendto(data, self.server)

    async def heard(self) -> str:
        data = await asyncio.get_running_loop().sock_recv(self.sock, 4096)
        return data.decode()

    @property
    def wants_to_know(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"notify", self.path.encode()), (b"report", b"1"))


@pytest.mark.parametrize(
    ("announced", "host"),
    [
        (b"Upper.Example", "upper.example"),
        (b"upper.example", "UPPER.Example"),
        (b"dot.example.", "dot.example"),
        (b"dot.example", "dot.example."),
        (b"Port.Example.:8080", "port.example:8080"),
        (b"port.example", "port.example:8080"),
        (b"port.example", "port.example:"),
    ],
)
@pytest.mark.parametrize("asked", ["http", "HTTP_HOST", "UWSGI_FASTROUTER_KEY"])
async def test_a_key_is_found_however_it_is_written(
    lab: Lab, log: Log, announced: bytes, host: str, asked: str
) -> None:
    announcer = Announcer(lab)
    node = lab.uwsgi_node()
    servers = (announcer.server,)
    if asked == "http":
        router = await lab.http(subscription_servers=servers)
        question = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    else:
        router = await lab.router(subscription_servers=servers)
        question = packet([("REQUEST_METHOD", "GET"), (asked, host)])
    announcer.say(datagram(announced, node.address))
    await log.line("new node")
    assert (await lab.ask(router, question)).startswith(b"HTTP/1.1 200 ")
    announcer.sock.close()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"blank.example ", "the key b'blank.example ' holds a blank or a control character"),
        (b"two words", "the key b'two words' holds a blank or a control character"),
        (b"a\nforged line", r"the key b'a\nforged line' holds a blank or a control character"),
        (b".", "the key b'.' names no host"),
        (b"", "the key has 0 bytes, not 1 to 255"),
    ],
)
async def test_a_key_that_no_request_can_have_is_refused_and_the_sender_is_told(
    lab: Lab, log: Log, key: bytes, reason: str
) -> None:
    announcer = Announcer(lab)
    router = await lab.router(subscription_servers=(announcer.server,))
    announcer.say(datagram(key, "127.0.0.1:1", *announcer.wants_to_know))
    told = await announcer.heard()
    assert told.startswith("[subscription refused] ")
    assert told.endswith(f" => 127.0.0.1:1: {reason}")
    assert "\n" not in told
    line = await log.line("refused a subscription datagram")
    assert reason in line
    assert announcer.path in line
    assert router.counters.refused_datagrams == 1
    assert not router.table.registry.pools
    announcer.sock.close()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ([(b"weight", b"-1")], "weight b'-1' is not a decimal number"),
        ([(b"proto", b"x")], "proto 'x' is none of"),
        ([(b"address", b"\xff")], r"the address b'\xff' is not UTF-8 text"),
    ],
)
async def test_whatever_is_wrong_with_an_announce_its_sender_is_told(
    lab: Lab, log: Log, variables: list[tuple[bytes, bytes]], reason: str
) -> None:
    announcer = Announcer(lab)
    await lab.router(subscription_servers=(announcer.server,))
    announcer.say(datagram(b"k", "127.0.0.1:1", *announcer.wants_to_know, *variables))
    assert reason in await announcer.heard()
    assert reason in await log.line("refused a subscription datagram")
    announcer.sock.close()


async def test_a_key_that_is_refused_is_not_reported_to_who_did_not_ask_for_it(
    lab: Lab, log: Log
) -> None:
    announcer = Announcer(lab)
    node = lab.uwsgi_node()
    await lab.router(subscription_servers=(announcer.server,))
    notify = (b"notify", announcer.path.encode())
    announcer.say(datagram(b"two words", node.address, notify))
    announcer.say(datagram(b"one", node.address, notify))
    await log.line("new node")
    assert await announcer.heard() == f"[subscription ack] one => new node: {node.address}"
    announcer.sock.close()

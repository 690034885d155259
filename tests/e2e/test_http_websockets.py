"""WebSockets through the HTTP router: what a client sees is what it sees without the router.

This is the bounded stand-in for the Autobahn suite (``python -m tests.autobahn``).
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.lab.clients import Client
from tests.lab.commands import HttpRouter
from tests.lab.echo import SUBPROTOCOLS, echoing
from tests.lab.place import Place, temporary

PATIENCE = 10.0
Case = Callable[[str], object]


@contextmanager
def opened(
    address: str,
    path: str = "/",
    *,
    compression: str | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
) -> Iterator[ClientConnection]:
    """Connect; no compression unless asked for, and no pings of its own."""
    with connect(
        f"ws://{address}{path}",
        compression=compression,
        subprotocols=subprotocols,
        max_size=None,
        ping_interval=None,
        close_timeout=PATIENCE,
    ) as connection:
        yield connection


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with echoing() as address:
        yield address


def before(lab: Place, echo: str, *options: str) -> HttpRouter:
    """A router in front of the echo server."""
    to = f"--http-to={echo}"
    return lab.http_router("--http-websockets", "--http-backend-http", to, *options)


@pytest.fixture(scope="module", params=["plain", "checked"])
def through(request: pytest.FixtureRequest, echo: str) -> Iterator[str]:
    """The address of a router in front of the echo server."""
    checked = ["--http-websocket-check"] if request.param == "checked" else []
    with temporary() as lab:
        yield before(lab, echo, "--http-keepalive", *checked).address


def echoes(messages: list[Any], compression: str | None = None) -> Case:
    """Send each message (a list is sent in fragments) and return what comes back."""

    def case(address: str) -> object:
        with opened(address, compression=compression) as socket:
            answers = []
            for message in messages:
                socket.send(message)
                answers.append(socket.recv(timeout=PATIENCE))
        return answers, socket.close_code

    return case


def fragments_from_the_server(address: str) -> object:
    with opened(address, "/fragments") as socket:
        socket.send("één, twee, drie")
        return list(socket.recv_streaming())


def many(address: str) -> object:
    """Many at once: neither side waits for the other."""
    with opened(address) as socket:
        for number in range(500):
            socket.send(str(number) * 20)
        return [socket.recv(timeout=PATIENCE) for _ in range(500)]


def pings(address: str) -> object:
    with opened(address) as socket:
        for payload in (b"", b"ping", b"x" * 125):
            assert socket.ping(payload).wait(PATIENCE)
        socket.send("still there")
        return socket.recv(timeout=PATIENCE)


def a_ping_between_fragments(address: str) -> object:
    def pieces() -> Iterator[str]:
        yield "before "
        assert socket.ping(b"between").wait(PATIENCE)
        yield "after"

    with opened(address) as socket:
        socket.send(pieces())
        return socket.recv(timeout=PATIENCE)


def client_closes(code: int, reason: str = "") -> Case:
    def case(address: str) -> object:
        with opened(address) as socket:
            socket.close(code, reason)
            return socket.close_code, socket.close_reason

    return case


def server_closes(code: int) -> Case:
    def case(address: str) -> object:
        with opened(address, f"/close/{code}") as socket:
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=PATIENCE)
            return socket.close_code, socket.close_reason

    return case


def refused(address: str) -> object:
    with pytest.raises(InvalidStatus) as error, opened(address, "/refuse"):
        pass
    response = error.value.response
    return response.status_code, response.body


def subprotocol(address: str) -> object:
    with opened(address, subprotocols=SUBPROTOCOLS[::-1]) as socket:
        return socket.subprotocol


CASES: dict[str, Case] = {
    "text": echoes(["", "a", "é€😀" * 1000]),
    "binary": echoes([b"", bytes(range(256)), b"\0" * 125, b"\0" * 126, b"\0" * 65_535]),
    "large": echoes([b"x" * 65_536, os.urandom(1_000_000)]),
    "fragments": echoes([["a", "", "b"], ["é"[:1]] * 500, [b"x" * 1000] * 100]),
    "deflate": echoes(["a" * 100_000, b"b" * 100_000, os.urandom(70_000)], compression="deflate"),
    "deflate in fragments": echoes([["c" * 10_000] * 10], compression="deflate"),
    "fragments from the server": fragments_from_the_server,
    "many": many,
    "pings": pings,
    "a ping between fragments": a_ping_between_fragments,
    "client closes with 1000": client_closes(1000),
    "client closes with a reason": client_closes(1001, "going away…"),
    "client closes with 3000": client_closes(3000, "x" * 123),
    "client closes with 4999": client_closes(4999),
    "server closes with 1000": server_closes(1000),
    "server closes with 1011": server_closes(1011),
    "server closes with 4001": server_closes(4001),
    "refused": refused,
    "subprotocol": subprotocol,
}


@pytest.mark.parametrize("name", CASES)
def test_a_client_sees_what_it_sees_without_the_router(through: str, echo: str, name: str) -> None:
    assert CASES[name](through) == CASES[name](echo)


# --- byte by byte: what no library sends ---

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = b"\x11\x22\x33\x44"


def frame(first: int, payload: bytes, *, mask: bytes = MASK, length: bytes | None = None) -> bytes:
    """Make a frame; b"" for mask leaves it unmasked."""
    size = len(payload)
    if length is None:
        length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
    return bytes([first, length[0] | (0x80 if mask else 0)]) + length[1:] + mask + masked


TEXT, BINARY, CLOSE, PING = 0x81, 0x82, 0x88, 0x89
#: Frames that break a rule, and the code of the Close that follows.
BROKEN = {
    "unmasked": (frame(TEXT, b"a", mask=b""), 1002),
    "reserved bit": (frame(0xC1, b"a"), 1002),
    "reserved opcode": (frame(0x83, b"a"), 1002),
    "reserved control opcode": (frame(0x8B, b"a"), 1002),
    "fragmented ping": (frame(0x09, b"a"), 1002),
    "long ping": (frame(PING, b"a" * 126), 1002),
    "continuation of nothing": (frame(0x80, b"a"), 1002),
    "text inside a fragmented text": (frame(0x01, b"a") + frame(TEXT, b"b"), 1002),
    "bad UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "close with 1005": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "close with bad UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_frame_that_breaks_a_rule_closes_the_connection(through: str, name: str) -> None:
    """Who says so, router or server, makes no difference to the client."""
    data, code = BROKEN[name]
    with Client(through) as client:
        client.send(HANDSHAKE)
        assert client.answer().status == 101
        client.send(data)
        answer, how = client.ending()
    assert answer[:1] == bytes([CLOSE]), answer
    assert struct.unpack("!H", answer[2:4])[0] in {code, 1002}
    assert how == "closed"


def test_frames_sent_with_the_handshake_are_not_lost(through: str) -> None:
    with Client(through) as client:
        client.send(HANDSHAKE + frame(TEXT, b"early") + frame(BINARY, b"bird"))
        assert client.answer().status == 101
        assert client.exactly(13) == b"\x81\x05early\x82\x04bird"


def test_a_frame_may_come_byte_by_byte(through: str) -> None:
    with Client(through) as client:
        client.send(HANDSHAKE)
        assert client.answer().status == 101
        for sent, expected in ((TEXT, b"\x81\x04slow"), (PING, b"\x8a\x04slow")):
            for byte in frame(sent, b"slow"):
                client.send(bytes([byte]))
            assert client.exactly(6) == expected
        client.send(frame(CLOSE, struct.pack("!H", 1000)))
        assert client.ending() == (b"\x88\x02\x03\xe8", "closed")


def test_what_follows_a_refused_handshake_is_a_request_of_its_own(through: str) -> None:
    with Client(through) as client:
        early = b"GET /next HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
        client.send(HANDSHAKE.replace(b"GET / ", b"GET /refuse ") + early)
        assert client.answer().status == 403
        answer, how = client.ending()
    # The echo server asks for an upgrade (426) if there is none.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 426 ")
    assert how == "closed"


def test_a_client_that_goes_without_a_word_ends_the_node_connection(
    lab: Place, through: str
) -> None:
    with Client(through) as client:
        client.send(HANDSHAKE)
        assert client.answer().status == 101
        client.eof()
        assert client.ending()[1] == "closed"


# --- limits of the check ---


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(BINARY, b"x" * 1001), 1009),
        (frame(0x02, b"x" * 900) + frame(0x00, b"x" * 900) + frame(0x80, b"x" * 900), 1009),
    ],
    ids=["frame", "message"],
)
def test_what_is_larger_than_the_limit_is_closed_with_1009(
    lab: Place, echo: str, data: bytes, code: int
) -> None:
    router = before(
        lab,
        echo,
        "--http-websocket-check",
        "--http-websocket-max-frame=1000",
        "--http-websocket-max-message=2000",
    )
    with router.client() as client:
        client.send(HANDSHAKE)
        assert client.answer().status == 101
        client.send(data)
        answer, _ = client.ending()
    assert answer[:4] == struct.pack("!BBH", CLOSE, answer[1], code), answer


def test_a_checked_tunnel_says_1001_when_the_router_ends(lab: Place, echo: str) -> None:
    router = before(lab, echo, "--http-websocket-check")
    with opened(router.address) as socket:
        socket.send("there?")
        assert socket.recv(timeout=PATIENCE) == "there?"
        router.stop()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE)
        assert socket.close_code == 1001


def test_a_silent_tunnel_ends_after_its_own_timeout(lab: Place, echo: str) -> None:
    router = before(lab, echo, "--http-websocket-timeout=1")
    with router.client() as client:
        client.send(HANDSHAKE)
        assert client.answer().status == 101
        assert client.ending()[1] in {"closed", "reset"}

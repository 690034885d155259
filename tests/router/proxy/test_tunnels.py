"""Tunnels after 101: bytes both ways, until both sides have ended (RFC 6455)."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import (
    client_link,
    counts,
    node_links,
    nodes_of,
    only_node,
    phases,
    upstreams_of,
)
from tests.lab.lab import Lab
from tests.lab.messages import OK, Message, ask, packet, says
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import always
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.router.net.link import HIGH

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MEGABYTE = 1024 * 1024


def handshake(*lines: str, key: str = KEY) -> bytes:
    return ask(
        "/chat",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *lines,
    )


def switching(*lines: str, accept: str = ACCEPT, protocol: str = "websocket") -> bytes:
    return says(
        b"",
        f"Upgrade: {protocol}",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
        *lines,
        status="101 Switching Protocols",
        length=False,
    )


def frame(opcode: int, payload: bytes, *, mask: bool, fin: bool = True) -> bytes:
    """One frame of up to 64 KiB."""
    head = bytes((opcode | (0x80 if fin else 0),))
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes((bit | len(payload),))
    else:
        head += bytes((bit | 126,)) + len(payload).to_bytes(2, "big")
    if not mask:
        return head + payload
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def close(code: int, reason: str = "", *, mask: bool) -> bytes:
    return frame(8, code.to_bytes(2, "big") + reason.encode(), mask=mask)


async def received_close(peer: Peer, *, masked: bool) -> int:
    """Read a Close frame; its code."""
    first, second = await peer.exactly(2)
    assert first == 0x88
    assert bool(second & 0x80) is masked
    key = await peer.exactly(4) if masked else bytes(4)
    payload = await peer.exactly(second & 0x7F)
    return int.from_bytes(bytes(a ^ b for a, b in zip(payload[:2], key, strict=False)), "big")


async def opened(
    lab: Lab, *, http: bool = True, unix: bool = False, early: bytes = b"", **options: Any
) -> tuple[Router, Peer, Peer]:
    """An open tunnel: router, client, node's end."""
    options = {"websockets": True, "keepalive": 0, **options}
    router = await lab.http(node := lab.held(unix=unix), backend_http=http, **options)
    client = await lab.open(router, handshake() + early)
    upstream = await upgraded(node, http=http)
    await upstream.send(switching())
    assert (await client.answer()).status == 101
    return router, client, upstream


async def upgraded(node: Node, *, http: bool) -> Peer:
    upstream = await node.next()
    if http:
        request = await upstream.head()
        assert request.get("upgrade") == b"websocket"
        assert request.get("connection") == b"Upgrade"
        assert request.get("sec-websocket-key") == KEY.encode()
    else:
        variables = (await upstream.packet()).variables
        assert variables[b"HTTP_UPGRADE"] == b"websocket"
        assert variables[b"HTTP_CONNECTION"] == b"Upgrade"
        assert variables[b"HTTP_SEC_WEBSOCKET_KEY"] == KEY.encode()
    return upstream


# --- opening ---


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("check", [False, True])
async def test_a_tunnel_carries_frames_both_ways(lab: Lab, http: bool, check: bool) -> None:
    router, client, upstream = await opened(lab, http=http, websocket_check=check)
    for text in (b"one", b"two", b"x" * 60_000):
        await client.send(frame(1, text, mask=True))
        assert await upstream.exactly(len(frame(1, text, mask=True))) == frame(1, text, mask=True)
        await upstream.send(frame(1, text, mask=False))
        assert await client.exactly(len(frame(1, text, mask=False))) == frame(1, text, mask=False)
    upstream.eof()
    assert await client.rest() == b""
    client.close()
    assert (await router.at_rest()).completed == 1


async def test_the_101_is_passed_on_as_the_node_said_it(lab: Lab) -> None:
    node = lab.http_node(always(switching("Sec-WebSocket-Protocol: chat"), close=True))
    router = await lab.to(node, websockets=True)
    answer = await lab.get(router, handshake("Sec-WebSocket-Protocol: chat"))
    assert answer.start == b"HTTP/1.1 101 Switching Protocols"
    assert answer.get("connection") == b"Upgrade"
    assert answer.get("upgrade") == b"websocket"
    assert answer.get("sec-websocket-accept") == ACCEPT.encode()
    assert answer.get("sec-websocket-protocol") == b"chat"


@pytest.mark.parametrize("http", [False, True])
async def test_bytes_that_a_client_sends_early_wait_for_the_101(lab: Lab, http: bool) -> None:
    early = frame(1, b"early", mask=True)
    router = await lab.http(node := lab.held(), backend_http=http, websockets=True)
    client = await lab.open(router, handshake() + early)
    upstream = await upgraded(node, http=http)
    await a_few_turns()
    with pytest.raises(BlockingIOError):
        upstream.sock.recv(1, socket.MSG_PEEK)
    await upstream.send(switching())
    assert await upstream.exactly(len(early)) == early
    assert (await client.answer()).status == 101


async def test_bytes_that_a_node_sends_with_its_101_are_not_lost(lab: Lab) -> None:
    hello = frame(1, b"hello", mask=False)
    router = await lab.to(lab.http_node(always(switching() + hello)), websockets=True)
    client = await lab.open(router, handshake())
    assert (await client.answer()).status == 101
    assert await client.exactly(len(hello)) == hello
    client.reset()


async def test_interim_answers_may_come_before_the_101(lab: Lab) -> None:
    node = lab.http_node(always(b"HTTP/1.1 103 Early Hints\r\n\r\n" + switching(), close=True))
    router = await lab.to(node, websockets=True)
    client = await lab.open(router, handshake())
    assert [(await client.answer()).status for _ in range(2)] == [103, 101]


async def test_a_node_that_refuses_answers_like_any_other(lab: Lab) -> None:
    """What the client has said early is no request, and nobody is given it as one."""
    node = lab.http_node(always(says(b"no", status="403 Forbidden")))
    router = await lab.to(node, websockets=True)
    client = await lab.open(router, handshake() + ask("/smuggled"))
    answer = await client.answer()
    assert (answer.status, answer.body, answer.closes) == (403, b"no", True)
    assert await client.rest() == b""
    client.close()
    await router.at_rest()
    assert [request.target for request in node.requests] == [b"/chat"]
    # Nothing was sent behind the request: the node's connection is as good as any.
    assert await counts(router, only_node(router)) == (0, 1)


async def test_a_handshake_may_use_a_kept_connection_and_a_tunnel_never_leaves_one(
    lab: Lab,
) -> None:
    async def answer(peer: Peer, request: Message) -> bool:
        await peer.send(switching() if request.target == b"/chat" else OK)
        return request.target != b"/chat"

    router = await lab.to(node := lab.http_node(answer), websockets=True)
    await lab.get(router)
    client = await lab.open(router, handshake())
    assert (await client.answer()).status == 101
    client.eof()
    assert await client.rest() == b""
    assert node.connections == 1
    assert await counts(router, only_node(router)) == (0, 0)


@pytest.mark.parametrize("front", ["http", "fastrouter"])
async def test_a_node_that_speaks_http_gets_a_websocket_without_any_option(
    lab: Lab, front: str
) -> None:
    node = lab.held()
    to = (f"http://{node.address}",)
    if front == "http":
        client = await lab.open(await lab.http(to=to), handshake())
    else:
        client = await lab.open(await lab.router(to=to), handshake_of_a_web_server())
    upstream = await upgraded(node, http=True)
    await upstream.send(switching())
    assert (await client.answer()).status == 101
    await client.send(b"up")
    assert await upstream.exactly(2) == b"up"
    await upstream.send(b"down")
    assert await client.exactly(4) == b"down"


def handshake_of_a_web_server() -> bytes:
    return packet(
        {
            "REQUEST_METHOD": "GET",
            "REQUEST_URI": "/chat",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "example.com",
            "HTTP_CONNECTION": "upgrade",
            "HTTP_UPGRADE": "websocket",
            "HTTP_SEC_WEBSOCKET_KEY": KEY,
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
        }.items()
    )


async def test_a_node_that_speaks_uwsgi_gets_none_without_the_option(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "uwsgi-router.http")
    node = lab.uwsgi_node()
    router = await lab.http(node, keepalive=0)
    assert (await lab.get(router, handshake())).status == 200
    assert b"HTTP_UPGRADE" not in node.requests[0].variables
    assert b"HTTP_CONNECTION" not in node.requests[0].variables
    (line,) = [one for one in caplog.records if "is not passed on" in one.message]
    assert line.levelno == logging.DEBUG
    assert line.message == (
        "Upgrade: websocket of GET /chat for example.com is not passed on"
        " to nodes that speak uwsgi without http-websockets"
    )


async def test_a_node_that_was_not_told_of_a_websocket_may_not_switch(lab: Lab) -> None:
    router = await lab.http(lab.uwsgi_node(always(switching(), close=True)))
    assert (await lab.get(router, handshake())).status == 502
    assert "it switches protocols, and was not asked to" in await lab.log.line("bad-answer")


@pytest.mark.parametrize("options", [{}, {"websockets": True}, {"raw_body": True}], ids=str)
@pytest.mark.parametrize("http", [True, False])
@pytest.mark.parametrize("upgrade", ["h2c", "H2C", "HTTP/2.0", "h2c, my-protocol/1"])
async def test_other_versions_of_http_are_never_passed_on(
    lab: Lab,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    http: bool,
    upgrade: str,
) -> None:
    caplog.set_level(logging.DEBUG, "uwsgi-router.http")
    router = await lab.http(node := lab.held(), backend_http=http, **options)
    lines = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}", "HTTP2-Settings: AAMA")
    client = await lab.open(router, ask("/", *lines))
    upstream = await node.next()
    if http:
        head = await upstream.head()
        names = {name for name, _ in head.fields}
    else:
        names = {name.lower() for name in (await upstream.packet()).variables}
    assert not {n for n in names if b"upgrade" in n or b"http2" in n or n == b"connection"}
    # Even if the node switches nobody gets through.
    await upstream.send(switching(protocol="h2c") + b"secret")
    answer = await client.answer()
    assert (answer.status, b"secret" in answer.body) == (502, False)
    line = f"Upgrade: {upgrade} of GET / for example.com is not passed on to any node"
    assert [one.message for one in caplog.records if "not passed on" in one.message] == [line]


@pytest.mark.parametrize("asked", [ask(), handshake()])
async def test_a_101_that_nobody_asked_for_is_no_answer(lab: Lab, asked: bytes) -> None:
    protocol = "websocket" if asked == ask() else "h2c"
    node = lab.http_node(always(switching(protocol=protocol), close=True))
    router = await lab.to(node, websockets=True)
    assert (await lab.get(router, asked)).status == 502


@pytest.mark.parametrize("http", [False, True])
async def test_with_raw_body_any_upgrade_is_passed_on(lab: Lab, http: bool) -> None:
    router = await lab.http(node := lab.held(), backend_http=http, raw_body=True, keepalive=0)
    client = await lab.open(
        router, ask("/", "Connection: Upgrade", "Upgrade: my-protocol/1") + b"early"
    )
    upstream = await node.next()
    if http:
        assert (await upstream.head()).get("upgrade") == b"my-protocol/1"
    else:
        assert (await upstream.packet()).variables[b"HTTP_UPGRADE"] == b"my-protocol/1"
    await upstream.send(switching(protocol="my-protocol/1") + b"hello")
    assert (await client.answer()).get("upgrade") == b"my-protocol/1"
    assert await client.exactly(5) == b"hello"
    assert await upstream.exactly(5) == b"early"
    client.eof()
    assert await upstream.rest() == b""
    await upstream.send(b"bye")
    upstream.eof()
    assert await client.rest() == b"bye"


# --- ends ---


@pytest.mark.parametrize("http", [False, True])
async def test_a_client_may_end_first_and_still_hear_the_rest(lab: Lab, http: bool) -> None:
    router, client, upstream = await opened(lab, http=http)
    await client.send(b"last words")
    client.eof()
    assert await upstream.rest() == b"last words"
    await upstream.send(b"answer")
    upstream.eof()
    assert await client.rest() == b"answer"
    assert (await router.at_rest()).completed == 1


async def test_a_node_may_end_first_and_still_hear_the_rest(lab: Lab) -> None:
    router, client, upstream = await opened(lab)
    await upstream.send(b"last words")
    upstream.eof()
    assert await client.rest() == b"last words"
    await client.send(b"answer")
    client.eof()
    assert await upstream.rest() == b"answer"
    await router.at_rest()


async def test_a_client_does_not_keep_a_tunnel_to_a_node_that_has_gone(lab: Lab) -> None:
    """It would be kept up to the timeout, although nobody is there."""
    router, client, upstream = await opened(lab, timeout=60)
    await upstream.send(b"last words")
    upstream.close()
    assert await client.rest() == b"last words"
    # The first goes to a closed socket, the second finds that out.
    await client.send(b"x")
    await until(lambda: client_link(router).fileno())
    await a_few_turns()
    await client.send(b"y")
    await until(lambda: not router.gateway.active_sessions or phases(router) == ["linger"])
    client.close()
    await router.at_rest()


async def test_a_node_that_reads_no_more_is_heard_to_its_end(lab: Lab) -> None:
    """What the client still says goes nowhere, and nobody waits for it to end."""
    router, client, upstream = await opened(lab, unix=True, timeout=60)
    await client.send_until_stuck(30 * MEGABYTE)
    upstream.sock.shutdown(socket.SHUT_RD)
    # The kernel tells nobody before there is room to write.
    await upstream.rest()
    await until(lambda: not node_links(router)[0].backlog)
    await upstream.send(b"last words")
    upstream.eof()
    assert await client.rest() == b"last words"
    await until(lambda: phases(router) in ([], ["linger"]))
    client.close()
    await router.at_rest()


async def test_what_a_client_said_last_reaches_a_slow_node(lab: Lab) -> None:
    router, client, upstream = await opened(lab, unix=True, timeout=60)
    upstream.eof()
    assert await client.rest() == b""
    sent = await client.send_until_stuck(30 * MEGABYTE)
    client.eof()
    assert len(await upstream.exactly(sent)) == sent
    assert await upstream.rest() == b""
    await router.at_rest()


async def test_what_a_node_said_last_reaches_a_slow_client(lab: Lab) -> None:
    """Although the client, not having read it, says something that nobody is there to take."""
    router, client, upstream = await opened(lab, unix=True, timeout=60, listen=(str(lab.path()),))
    # More than the kernel keeps, less than makes us wait.
    await upstream.send(bytes(400_000))
    upstream.close()
    await until(lambda: client_link(router).backlog > 0)
    await client.send(b"bye")
    client.eof()
    assert len(await client.rest()) == 400_000
    await router.at_rest()
    assert router.gateway.counters.completed == 1


@pytest.mark.parametrize("who", ["client", "node"])
async def test_a_reset_ends_both_sides(lab: Lab, who: str) -> None:
    router, client, upstream = await opened(lab)
    gone, other = (client, upstream) if who == "client" else (upstream, client)
    gone.reset()
    assert (await other.ending())[0] == b""
    await router.at_rest()
    counters = router.counters
    assert (counters.client_aborts, counters.failed["reset"]) == (
        (1, 0) if who == "client" else (0, 1)
    )


@pytest.mark.parametrize("http", [False, True])
async def test_a_nodes_reset_is_one_although_the_client_speaks_in_the_same_turn(
    lab: Lab, http: bool
) -> None:
    """Passing its bytes on meets the reset first, and then there is only an end to be read."""
    router, client, upstream = await opened(lab, http=http)
    client.sock.send(b"x")
    upstream.reset()
    assert await client.ending() == (b"", "reset")
    assert (await router.at_rest()).failed["reset"] == 1


async def test_a_nodes_reset_is_one_although_unsent_bytes_meet_it_first(lab: Lab) -> None:
    router, client, upstream = await opened(lab, timeout=60)
    await upstream.send_until_stuck(30 * MEGABYTE)
    await client.send_until_stuck(30 * MEGABYTE)
    (link,) = node_links(router)
    assert link.backlog
    assert not link.reading
    upstream.reset()
    await until(lambda: not link.backlog)
    assert (await client.ending())[1] == "reset"
    assert (await router.at_rest()).failed["reset"] == 1


async def test_a_side_that_does_not_answer_an_end_is_not_waited_for_for_ever(lab: Lab) -> None:
    router, client, upstream = await opened(lab, timeout=0.05)
    upstream.eof()
    assert await client.rest() == b""
    await router.at_rest()
    assert (await upstream.ending())[0] == b""


async def test_a_silent_tunnel_is_ended_and_a_talking_one_is_not(lab: Lab) -> None:
    router, client, upstream = await opened(lab, websocket_timeout=0.1)
    for _ in range(8):
        await client.send(b"x")
        await asyncio.sleep(0.03)  # a slow talker
    assert await upstream.exactly(8) == b"x" * 8
    assert await client.ending() == (b"", "closed")
    assert (await upstream.ending())[0] == b""
    assert (await router.at_rest()).completed == 1


async def test_the_other_timeouts_do_not_end_a_tunnel(lab: Lab) -> None:
    _router, client, upstream = await opened(
        lab, timeout=0.05, headers_timeout=0.05, connect_timeout=0.05
    )
    await asyncio.sleep(0.15)  # longer than any of them
    await client.send(b"still here")
    assert await upstream.exactly(10) == b"still here"


async def test_a_side_that_reads_nothing_stops_the_other(lab: Lab) -> None:
    router, client, upstream = await opened(lab)
    sent = await client.send_until_stuck(30 * MEGABYTE)
    (link,) = node_links(router)
    # Bulk is read in larger pieces.
    assert link.backlog <= HIGH + 4 * router.config.buffer_size
    assert sent < 30 * MEGABYTE
    # And it goes on.
    assert len(await upstream.exactly(sent)) == sent


async def test_a_tunnel_has_a_place_as_long_as_it_lasts(lab: Lab) -> None:
    router, client, upstream = await opened(lab, backend_connections=1)
    (node,) = nodes_of(router)
    assert upstreams_of(router).counts(node) == (1, 0)
    waiting = await lab.open(router, ask())
    await until(lambda: router.counters.queueing == 1)
    client.eof()
    upstream.close()
    await until(lambda: router.counters.queueing == 0)
    waiting.reset()


# --- checked tunnels ---

# By whom, what, and the code that both are told.
VIOLATIONS = {
    "no-mask": ("client", frame(1, b"x", mask=False), 1002),
    "mask": ("node", frame(1, b"x", mask=True), 1002),
    "utf-8": ("client", frame(1, b"\xff", mask=True), 1007),
    "node-utf-8": ("node", frame(1, b"\xff", mask=False), 1007),
    "too-big": ("client", frame(2, bytes(2000), mask=True), 1009),
    "node-too-big": ("node", frame(2, bytes(2000), mask=False), 1009),
    "message-too-big": ("client", frame(2, bytes(900), mask=True, fin=False) * 1, 1009),
    "opcode": ("client", frame(3, b"", mask=True), 1002),
    "continuation": ("node", frame(0, b"x", mask=False), 1002),
    "long-ping": ("client", frame(9, bytes(126), mask=True), 1002),
}


@pytest.mark.parametrize("case", VIOLATIONS.values(), ids=VIOLATIONS)
async def test_who_breaks_the_protocol_ends_the_tunnel_and_both_are_told_why(
    lab: Lab, case: tuple[str, bytes, int]
) -> None:
    who, data, code = case
    router, client, upstream = await opened(
        lab, websocket_check=True, websocket_max_frame=1000, websocket_max_message=1500
    )
    good = frame(1, b"good", mask=who == "client")
    source, target = (client, upstream) if who == "client" else (upstream, client)
    await source.send(good)
    assert await target.exactly(len(good)) == good
    await source.send(data)
    if len(data) < 1000 and code == 1009:
        assert await target.exactly(len(data)) == data
        await source.send(frame(0, bytes(900), mask=True))
    await received_close_or_end(client, masked=False, code=code)
    await received_close_or_end(upstream, masked=True, code=code)
    assert "broke the WebSocket" in await lab.log.line("502 bad-frame")
    client.close()
    assert (await router.at_rest()).failed == {"bad-frame": 1}


async def received_close_or_end(peer: Peer, *, masked: bool, code: int) -> None:
    assert await received_close(peer, masked=masked) == code
    assert (await peer.ending())[0] == b""


async def test_good_frames_in_the_same_read_as_a_bad_one_are_passed_on(lab: Lab) -> None:
    _router, client, upstream = await opened(lab, websocket_check=True)
    good = frame(1, b"good", mask=True)
    await client.send(good + frame(1, b"bad", mask=False))
    assert await upstream.exactly(len(good)) == good
    assert await received_close(upstream, masked=True) == 1002
    assert await received_close(client, masked=False) == 1002
    client.close()


async def test_no_close_is_put_inside_another_frame(lab: Lab) -> None:
    _router, client, upstream = await opened(lab, websocket_check=True)
    begun = frame(2, bytes(500), mask=False)[:100]
    await upstream.send(begun)
    assert await client.exactly(100) == begun
    await client.send(frame(1, b"bad", mask=False))
    assert await received_close(upstream, masked=True) == 1002
    assert (await client.ending())[0] == b""
    client.close()


async def test_a_close_handshake_ends_both_connections(lab: Lab) -> None:
    router, client, upstream = await opened(lab, websocket_check=True)
    await client.send(close(1000, mask=True))
    assert await received_close(upstream, masked=True) == 1000
    await upstream.send(close(1000, mask=False))
    assert await received_close(client, masked=False) == 1000
    assert await client.rest() == b""
    assert (await upstream.ending())[0] == b""
    assert (await router.at_rest()).completed == 1


@pytest.mark.parametrize(
    "answer",
    [
        switching(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        switching("Sec-WebSocket-Protocol: not-offered"),
        switching("Sec-WebSocket-Extensions: not-offered"),
        switching().replace(b"Sec-WebSocket-Accept", b"X-Nothing"),
    ],
    ids=["accept", "protocol", "extension", "no-accept"],
)
async def test_a_handshake_that_does_not_fit_is_no_answer(lab: Lab, answer: bytes) -> None:
    node = lab.http_node(always(answer, close=True))
    router = await lab.to(node, websockets=True, websocket_check=True)
    assert (await lab.get(router, handshake())).status == 502
    await lab.log.line("502 bad-answer")


async def test_early_frames_are_checked_too(lab: Lab) -> None:
    node = lab.held()
    router = await lab.http(node, backend_http=True, websockets=True, websocket_check=True)
    client = await lab.open(router, handshake() + frame(1, b"bad", mask=False))
    upstream = await upgraded(node, http=True)
    await upstream.send(switching())
    assert (await client.answer()).status == 101
    assert await received_close(client, masked=False) == 1002
    assert await received_close(upstream, masked=True) == 1002
    client.close()


async def test_a_silent_checked_tunnel_is_told_why_it_ends(lab: Lab) -> None:
    router, client, upstream = await opened(lab, websocket_check=True, websocket_timeout=0.05)
    await received_close_or_end(client, masked=False, code=1001)
    # Its own goodbye is not answered with a reset.
    await client.send(close(1001, mask=True))
    assert await received_close(upstream, masked=True) == 1001
    client.close()
    await router.at_rest()


async def test_a_router_that_stops_says_goodbye_with_1001(lab: Lab) -> None:
    router, client, upstream = await opened(lab, websocket_check=True)
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    assert await received_close(client, masked=False) == 1001
    assert await received_close(upstream, masked=True) == 1001
    # Both do as they should.
    await client.send(close(1001, mask=True))
    await upstream.send(close(1001, mask=False))
    upstream.eof()
    client.eof()
    await client.ending()
    await stopping
    assert lab.log.having("cut off") == []


async def test_a_stop_does_not_wait_for_a_client_that_goes_on_talking(lab: Lab) -> None:
    """The node has gone after its goodbye; what the client still sends is for nobody."""
    router, client, upstream = await opened(lab, websocket_check=True)
    stopping = asyncio.get_running_loop().create_task(router.stop(30))
    assert await received_close(upstream, masked=True) == 1001
    await upstream.send(close(1001, mask=False))
    upstream.close()
    for _ in range(3):
        await client.send(frame(1, b"and another thing", mask=True))
        await a_few_turns()
    await client.rest()
    client.close()
    await stopping
    assert lab.log.having("cut off") == []


async def test_an_unchecked_tunnel_lasts_until_the_mercy_is_over(lab: Lab) -> None:
    router, client, upstream = await opened(lab)
    stopping = asyncio.get_running_loop().create_task(router.stop(0.2))
    await lab.log.line("finishing")
    await client.send(b"still here")
    assert await upstream.exactly(10) == b"still here"
    await stopping
    assert (await client.ending())[0] == b""


async def test_large_messages_pass_a_checked_tunnel_unchanged(lab: Lab) -> None:
    """In pieces of any size."""
    _router, client, upstream = await opened(lab, websocket_check=True)
    data = b"".join(frame(2, bytes(range(256)) * 200, mask=True) for _ in range(20))

    async def upload() -> None:
        for at in range(0, len(data), 7_777):
            await client.send(data[at : at + 7_777])

    _, got = await asyncio.gather(upload(), upstream.exactly(len(data)))
    assert got == data


async def test_many_tunnels_at_once(lab: Lab) -> None:
    async def echo(peer: Peer) -> None:
        wire = peer
        await wire.head()
        await wire.send(switching())
        while data := await wire.some():
            await wire.send(data)

    router = await lab.http(lab.node(echo), backend_http=True, websockets=True)

    async def talk(number: int) -> None:
        client = await lab.open(router, handshake())
        await client.answer()
        for _ in range(5):
            await client.send(b"%04d" % number)
            assert await client.exactly(4) == b"%04d" % number
        client.eof()
        assert await client.rest() == b""

    await asyncio.gather(*(talk(number) for number in range(40)))
    await router.at_rest()


# --- counting ---


@pytest.mark.parametrize("http", [True, False])
async def test_bytes_of_an_open_tunnel_are_counted_at_once(lab: Lab, http: bool) -> None:
    """A rate taken from these numbers must not show hours of traffic in its last second."""
    router, client, upstream = await opened(lab, http=http)
    (node,) = nodes_of(router)
    counters = router.counters
    before = (node.rx, node.tx, counters.bytes_received, counters.bytes_sent)
    await client.send(b"u" * 1000)
    assert await upstream.exactly(1000) == b"u" * 1000
    await upstream.send(b"d" * 3000)
    assert await client.exactly(3000) == b"d" * 3000
    after = (node.rx, node.tx, counters.bytes_received, counters.bytes_sent)
    assert [b - a for a, b in zip(before, after, strict=True)] == [1000, 3000, 1000, 3000]


async def test_bytes_of_a_long_answer_are_counted_at_once(lab: Lab) -> None:
    router = await lab.http(node := lab.held(), backend_http=True, keepalive=0)
    client = await lab.open(router, ask())
    upstream, _ = await node.next_head()
    await upstream.send(says(b"", "Content-Length: 5000", length=False) + b"x" * 2000)
    head = await client.head()
    assert await client.exactly(2000) == b"x" * 2000
    (one,) = nodes_of(router)
    assert one.tx > 2000
    assert router.counters.bytes_sent > 2000
    assert router.counters.bytes_received == len(ask())
    await upstream.send(b"x" * 3000)
    assert head.status == 200
    assert await client.exactly(3000) == b"x" * 3000

"""Request packets: how they are read, and that bad ones hurt nobody else."""

import asyncio
import random

import pytest

from tests.lab.lab import Lab
from tests.lab.messages import KEY, OK, packet, request
from tests.lab.scripts import answers_with_its_request
from uwsgi_router.protocol.uwsgi import PONG


async def test_a_packet_in_one_piece_is_answered(lab: Lab) -> None:
    router = await lab.router(lab.node())
    assert await lab.ask(router) == OK
    assert (await router.at_rest()).completed == 1


async def test_a_packet_byte_by_byte_is_answered(lab: Lab) -> None:
    router = await lab.router(lab.node(answers_with_its_request()))
    client = await lab.client(router)
    whole = request("POST", length=5) + b"hello"
    for index in range(len(whole)):
        await client.send(whole[index : index + 1])
        await asyncio.sleep(0)
    assert await client.rest() == whole


async def test_bytes_behind_the_packet_are_its_body(lab: Lab) -> None:
    router = await lab.router(lab.node(answers_with_its_request()))
    whole = request("POST", length=70_000) + bytes(70_000)
    assert await lab.ask(router, whole) == whole


async def test_the_largest_packet_passes_whole(lab: Lab) -> None:
    router = await lab.router(lab.node(answers_with_its_request()), buffer_size=64)
    head = len(packet([("HTTP_HOST", "a"), ("X", "")])) - 4
    whole = packet([("HTTP_HOST", "a"), ("X", "x" * (65_535 - head))])
    assert len(whole) == 4 + 65_535
    assert await lab.ask(router, whole) == whole


BAD = {
    "empty": packet(),
    "a length that points past the end": b"\0\x06\0\0\xff\xff1234",
    "an empty name": b"\0\x04\0\0\0\0\0\0",
    "a stray byte": b"\0\x01\0\0x",
    "two lengths of the body": packet(
        [("HTTP_HOST", "a"), ("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "6")]
    ),
    "a length that is no number": packet([("HTTP_HOST", "a"), ("CONTENT_LENGTH", "5abc")]),
    "a negative length": packet([("HTTP_HOST", "a"), ("CONTENT_LENGTH", "-1")]),
    "HTTP": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "no key": packet([("REQUEST_METHOD", "GET")]),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
async def test_a_bad_packet_closes_its_connection_and_no_other(lab: Lab, data: bytes) -> None:
    router = await lab.router(node := lab.node())
    other = await lab.open(router, request()[:10])
    bad = await lab.open(router, data)
    assert (await bad.ending())[0] == b""
    await lab.log.line("127.0.0.1")
    await other.send(request()[10:])
    assert await other.rest() == OK
    assert node.connections == 1
    await router.at_rest()


async def test_http_on_the_port_is_told_at_once_what_is_wrong(lab: Lab) -> None:
    router = await lab.router(lab.node())
    await lab.open(router, b"POST /form HTTP/1.1\r\n")
    assert "uwsgi_pass, not proxy_pass" in await lab.log.line("this is HTTP")


async def test_a_truncated_packet_is_logged_with_reason_and_peer(lab: Lab) -> None:
    router = await lab.router(node := lab.node())
    client = await lab.open(router, request()[:-1])
    client.eof()
    assert await client.rest() == b""
    assert "127.0.0.1" in await lab.log.line("refused a packet")
    assert node.connections == 0
    assert (await router.at_rest()).refused_packets == 1


async def test_a_connection_without_a_byte_is_not_worth_a_line(lab: Lab) -> None:
    router = await lab.router(lab.node())
    client = await lab.client(router)
    client.eof()
    assert await client.rest() == b""
    await router.at_rest()
    assert lab.log.lines == []
    assert router.counters.refused_packets == 0


async def test_a_packet_that_never_ends_is_closed_after_the_timeout(lab: Lab) -> None:
    router = await lab.router(lab.node(), timeout=0.2)
    client = await lab.open(router, request()[:-1])
    assert await client.rest() == b""
    assert "0.2 s" in await lab.log.line("refused a packet")


async def test_random_packets_neither_crash_nor_reach_a_node(lab: Lab) -> None:
    router = await lab.router(node := lab.node())
    chance = random.Random(2)
    for _ in range(100):
        size = chance.randrange(0, 60)
        block = bytes(chance.randrange(256) for _ in range(size))
        client = await lab.open(router, b"\0" + size.to_bytes(2, "little") + b"\0" + block)
        assert (await client.ending())[0] == b""
    assert node.connections == 0
    assert await lab.ask(router) == OK
    await router.at_rest()


async def test_many_bad_packets_make_one_line_a_second(lab: Lab) -> None:
    router = await lab.router(lab.node())
    for _ in range(20):
        client = await lab.open(router, BAD["an empty name"])
        await client.ending()
    assert (await router.at_rest()).refused_packets == 20
    assert len(lab.log.having("refused a packet")) < 3


async def test_a_ping_is_answered_by_the_router_itself(lab: Lab) -> None:
    router = await lab.router()
    assert await lab.ask(router, packet(modifier1=100)) == PONG
    assert (await router.at_rest()).requests == 0


async def test_force_key_is_the_key_of_every_request(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed(force_key="pinned")
    router.announce(node.address, b"pinned")
    assert await lab.ask(router) == OK
    assert await lab.ask(router, packet([("UWSGI_FASTROUTER_KEY", "x")])) == OK
    assert await lab.ask(router, packet([("REQUEST_METHOD", "GET")])) == OK


async def test_the_web_servers_modifiers_are_replaced_by_0_0_for_configured_nodes(lab: Lab) -> None:
    router = await lab.router(lab.node(answers_with_its_request()))
    sent = packet([("HTTP_HOST", "a")], modifier1=5, modifier2=7)
    assert await lab.ask(router, sent) == b"\0" + sent[1:3] + b"\0" + sent[4:]


async def test_an_announced_node_gets_its_own_modifiers_and_a_fallback_0_0(lab: Lab) -> None:
    node = lab.node(answers_with_its_request())
    spare = lab.node(answers_with_its_request())
    router = await lab.subscribed(fallback=(spare.address,))
    router.announce(node.address, modifier1=5, modifier2=3)
    answer = await lab.ask(router)
    assert (answer[0], answer[3]) == (5, 3)
    router.leave(node.address)
    router.announce(lab.refused_tcp(), modifier1=5, modifier2=3)
    answer = await lab.ask(router)
    assert (answer[0], answer[3]) == (0, 0)


async def test_keep_modifiers_keeps_the_web_servers(lab: Lab) -> None:
    node = lab.node(answers_with_its_request())
    router = await lab.subscribed(keep_modifiers=True)
    router.announce(node.address, modifier1=9)
    sent = packet([("HTTP_HOST", KEY.decode())], modifier1=14, modifier2=2)
    assert await lab.ask(router, sent) == sent


@pytest.mark.parametrize("modifier1", [22, 110, 111, 173])
async def test_keep_modifiers_refuses_those_that_run_code(lab: Lab, modifier1: int) -> None:
    router = await lab.router(node := lab.node(), keep_modifiers=True)
    assert (await lab.ask(router, packet([("HTTP_HOST", "a")], modifier1=modifier1))) == b""
    assert str(modifier1) in await lab.log.line("refused a packet")
    assert node.connections == 0


async def test_a_second_packet_on_the_connection_is_the_first_ones_body(lab: Lab) -> None:
    router = await lab.router(node := lab.node())
    assert await lab.ask(router, request() + request(host="other")) == OK
    assert node.connections == 1

"""Failures of requests: answers to clients, lines of the log."""

import asyncio
import re

import pytest

from tests.lab.lab import Lab
from tests.lab.messages import KEY, OK, packet, request, status_of
from tests.lab.names import Names
from tests.lab.scripts import closes_without_a_byte, echoes_behind_the_packet, never_answers, plays
from tests.lab.waiting import until


def header(answer: bytes, name: str) -> str:
    found = re.search(rf"\r\n{name}: ([^\r]*)\r\n".encode(), answer)
    assert found, answer
    return found[1].decode()


async def test_an_answer_of_ours_is_whole_http_and_has_the_logs_id_and_reason(lab: Lab) -> None:
    router = await lab.router(to=(lab.refused_tcp(),), errors="http")
    answer = await lab.ask(router)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert int(header(answer, "Content-Length")) == len(body)
    name = header(answer, "X-Uwsgi-Router-Request")
    line = await lab.log.line(f"request {name} failed")
    assert header(answer, "X-Uwsgi-Router-Reason") in line
    assert name.encode() in body
    await router.at_rest()


async def test_each_request_has_an_id_of_its_own(lab: Lab) -> None:
    router = await lab.router(errors="http")
    names = {header(await lab.ask(router), "X-Uwsgi-Router-Request") for _ in range(5)}
    assert len(names) == 5


async def test_the_line_explains_the_request(lab: Lab) -> None:
    gone = lab.refused_tcp()
    router = await lab.router(to=(lab.refused_unix(), gone), max_retries=1)
    await lab.ask(router, request(REMOTE_ADDR="192.0.2.7"))
    line = await lab.log.line("failed: ")
    for part in (
        "warning ",
        "502 connect: ",
        "Connection refused",
        "phase=",
        "key=example.com",
        f"node={gone}",
        "tries=2 ",
        "connect=",
        "total=0.",
        "client=192.0.2.7",
        "option=fastrouter-max-retries=1",
    ):
        assert part in line
    assert len(lab.log.having(" failed: ")) == 1


async def test_what_a_client_writes_into_a_line_is_one_line(lab: Lab) -> None:
    router = await lab.subscribed()
    await lab.ask(router, packet([("HTTP_HOST", "a\nwarning forged\x1b[2J")]))
    line = await lab.log.line("404 unknown-key")
    assert "forged" in line  # as an argument, which the formatter of the log escapes


async def test_failures_that_clients_cause_at_will_are_limited_in_the_log(lab: Lab) -> None:
    router = await lab.subscribed()
    for _ in range(20):
        await lab.ask(router, request(host="unknown.example"))
    assert len(lab.log.having("404 unknown-key")) < 3
    assert router.counters.failed["unknown-key"] == 20
    await router.at_rest()


@pytest.mark.parametrize("errors", ["close", "http"])
async def test_a_failure_is_sent_or_not_as_configured(lab: Lab, errors: str) -> None:
    router = await lab.subscribed(errors=errors)
    assert (await lab.ask(router) != b"") is (errors == "http")
    await lab.log.line("404 unknown-key")


async def test_no_usable_key_is_a_400(lab: Lab) -> None:
    router = await lab.router(node := lab.node(), errors="http")
    client = await lab.open(router, packet([("HTTP_HOST", "x" * 256)]))
    assert status_of(await client.some()) == 400
    client.eof()
    assert node.connections == 0
    await lab.log.line("400 no-key")
    await router.at_rest()


async def test_no_node_for_the_key_is_a_404_or_503(lab: Lab) -> None:
    """An operator and a search engine want to know which of the two."""
    router = await lab.subscribed(errors="http")
    assert status_of(await lab.ask(router)) == 404
    router.announce("127.0.0.1:9")
    router.leave("127.0.0.1:9")
    answer = await lab.ask(router)
    assert status_of(answer) == 503
    assert header(answer, "Retry-After") == "1"


async def test_no_forwarder_at_all_refuses_each_request(lab: Lab) -> None:
    router = await lab.router(errors="http")
    assert status_of(await lab.ask(router)) in {404, 503}
    await router.at_rest()


async def test_all_refused_is_a_502(lab: Lab) -> None:
    router = await lab.router(
        to=(lab.refused_tcp(), lab.missing_unix(), lab.refused_unix()), errors="http"
    )
    assert status_of(await lab.ask(router)) == 502
    assert "tries=3 " in await lab.log.line("502 connect")


async def test_a_black_hole_is_a_504(lab: Lab) -> None:
    router = await lab.router(to=(lab.black_hole().address,), errors="http", connect_timeout=0.2)
    assert status_of(await lab.ask(router)) == 504


async def test_a_node_that_never_answers_is_a_504(lab: Lab) -> None:
    router = await lab.router(lab.node(never_answers), errors="http", timeout=0.2)
    assert status_of(await lab.ask(router)) == 504
    assert "tries=1 " in await lab.log.line("504 no-answer-in-time")


async def test_a_node_that_closes_without_a_byte_is_a_502_without_waiting(lab: Lab) -> None:
    router = await lab.router(lab.node(closes_without_a_byte), errors="http")
    assert status_of(await lab.ask(router, request("POST", length=0))) == 502


async def test_nothing_of_ours_is_mixed_into_a_nodes_answer(lab: Lab) -> None:
    router = await lab.router(
        lab.node(plays(b"HTTP/1.1 200 OK\r\n\r\nhalf", asyncio.Event())), errors="http", timeout=0.2
    )
    client = await lab.open(router, request())
    assert await client.ending() == (b"HTTP/1.1 200 OK\r\n\r\nhalf", "reset")


async def test_an_answer_of_ours_reaches_a_client_that_is_still_sending(lab: Lab) -> None:
    router = await lab.subscribed(errors="http")
    client = await lab.open(router, request("POST", length=10_000_000) + bytes(1_000_000))
    for _ in range(5):
        await client.send(bytes(65_536))
    answer = await client.rest()
    assert status_of(answer) == 404
    client.eof()
    await router.at_rest()


async def test_a_half_closing_client_loses_nothing(lab: Lab) -> None:
    """uWSGI truncates 300 kB of echo after 85 kB, and loses answers altogether."""
    router = await lab.router(lab.node(echoes_behind_the_packet))
    client = await lab.open(router, request("POST", length=300_000))
    body = bytes(range(250)) * 1200

    async def upload() -> None:
        await client.send(body)
        client.eof()

    assert (await asyncio.gather(upload(), client.rest()))[1] == body


async def test_a_client_that_leaves_while_a_name_is_resolved_is_not_waited_for(
    lab: Lab,
) -> None:
    node = lab.held()
    router = await lab.subscribed()
    names = Names({"slow.test": None}).given_to(router)
    router.announce(f"slow.test:{node.address.rpartition(':')[2]}")
    client = await lab.open(router, request())
    await until(lambda: names.asked)
    client.reset()
    assert (await router.at_rest()).client_aborts == 1
    names.comes("slow.test", ["127.0.0.1"])


async def test_the_counters_add_up_after_all_sorts_of_ends(lab: Lab) -> None:
    router = await lab.subscribed(errors="http", timeout=0.3)
    router.announce(lab.node().address, b"good")
    router.announce(lab.node(closes_without_a_byte).address, b"silent")
    router.announce(lab.node(never_answers).address, b"slow")
    router.announce(lab.refused_tcp(), b"gone")
    sent = 0
    for host in ("good", "silent", "slow", "gone", "unknown", ""):
        client = await lab.open(router, request(host=host))
        sent += len((await client.ending())[0])
        client.close()
    for ending in (request()[:-1], b"\0\x01\0\0x", packet(modifier1=100)):
        client = await lab.open(router, ending)
        client.eof()
        sent += len((await client.ending())[0])
    client = await lab.open(router, request("POST", host="slow", length=9))
    client.eof()
    await client.ending()
    await router.at_rest()
    counters = router.counters
    assert dict(counters.failed) == {
        "connect": 1,
        "no-answer": 1,  # a GET that "silent" did not answer, and could not be sent to another node
        "no-answer-in-time": 1,
        "unknown-key": 1,
        "no-key": 1,
    }
    assert (counters.requests, counters.completed, counters.client_aborts) == (7, 1, 1)
    assert counters.refused_packets == 2
    assert counters.bytes_sent == sent
    assert counters.bytes_received > 0


async def test_keys_may_be_255_bytes_and_no_longer(lab: Lab) -> None:
    node = lab.node()
    router = await lab.subscribed()
    router.announce(node.address, b"k" * 255)
    router.announce(node.address, KEY)
    assert await lab.ask(router, packet([("HTTP_HOST", "k" * 255)])) == OK
    two = packet([("HTTP_HOST", "k" * 256), ("SERVER_NAME", KEY.decode())])
    assert await lab.ask(router, two) == OK

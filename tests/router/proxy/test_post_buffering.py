"""Post-buffering: bodies that are spooled before a node is chosen."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import phases
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, request
from tests.lab.scripts import answers_with_its_request, closes_without_a_byte
from tests.lab.waiting import until

SIZES = {"memory": 50_000, "file": 300_000}


def open_files(directory: Path) -> list[str]:
    """What this process has open in ``directory``, by the names that the kernel shows."""
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if name.startswith(str(directory)):
            names.append(name)
    return names


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
async def test_the_node_is_connected_when_the_body_is_whole(lab: Lab, size: int) -> None:
    router = await lab.router(node := lab.node(answers_with_its_request()), post_buffering=100_000)
    body = os.urandom(size)
    client = await lab.open(router, request("POST", length=size) + body[:-1])
    await until(lambda: phases(router) == ["body"])
    assert node.connections == 0
    await client.send(body[-1:])
    assert await client.rest() == request("POST", length=size) + body
    await router.at_rest()


async def test_a_large_body_lies_in_an_unlinked_file_in_the_configured_directory(lab: Lab) -> None:
    spools = lab.tmp_path / "spools"
    spools.mkdir()
    router = await lab.router(lab.node(), post_buffering=1000, post_buffering_dir=str(spools))
    client = await lab.open(router, request("POST", length=50_000) + bytes(49_999))
    await until(lambda: open_files(spools))
    assert os.listdir(spools) == []
    await client.send(b"x")
    assert await client.rest() == OK
    await router.at_rest()
    assert open_files(spools) == []


async def test_a_body_of_exactly_the_limit_stays_in_memory(lab: Lab) -> None:
    router = await lab.router(lab.node(), post_buffering=1000, post_buffering_dir="/nonexistent")
    assert await lab.ask(router, request("POST", length=1000) + bytes(1000)) == OK


async def test_all_bodies_in_memory_have_a_limit_together_and_the_others_go_to_files(
    lab: Lab,
) -> None:
    spools = lab.tmp_path / "spools"
    spools.mkdir()
    router = await lab.router(
        lab.node(answers_with_its_request()),
        post_buffering=50_000,
        post_buffering_max_bytes=100_000,
        post_buffering_dir=str(spools),
    )
    whole = [request("POST", length=40_000) + bytes([n]) * 40_000 for n in range(5)]
    clients = [await lab.open(router, data[:-1]) for data in whole]
    await until(lambda: len(open_files(spools)) == 3)
    counters = router.counters
    assert (counters.spooled_bytes, counters.spilled) == (79_998, 3)
    for client, data in zip(clients, whole, strict=True):
        await client.send(data[-1:])
        assert await client.rest() == data
    # What has gone is free again.
    assert await lab.ask(router, whole[0]) == whole[0]
    assert counters.spilled == 3


async def test_chunked_bodies_for_uwsgi_nodes_share_the_limit_too(lab: Lab) -> None:
    spools = lab.tmp_path / "spools"
    spools.mkdir()
    router = await lab.http(
        node := lab.uwsgi_node(),
        post_buffering_max_bytes=100_000,
        post_buffering_dir=str(spools),
    )
    head = ask("/", "Transfer-Encoding: chunked", method="POST")
    clients = [await lab.open(router, head + b"9c40\r\n" + bytes(40_000)) for _ in range(3)]
    await until(lambda: router.counters.spilled == 1)
    assert len(open_files(spools)) == 1
    for client in clients:
        await client.send(b"\r\n0\r\n\r\n")
        assert (await client.answer()).status == 200
    assert [len(one.body) for one in node.requests] == [40_000] * 3


async def test_a_directory_that_cannot_be_written_is_a_507_that_names_the_option(lab: Lab) -> None:
    router = await lab.router(
        lab.node(),
        post_buffering=1000,
        post_buffering_dir="/nonexistent",
        errors="http",
    )
    client = await lab.open(router, request("POST", length=1001) + bytes(1001))
    assert (await client.some()).startswith(b"HTTP/1.1 507 ")
    client.eof()
    assert "option=fastrouter-post-buffering-dir=/nonexistent" in await lab.log.line("507 spool")
    await router.at_rest()


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
async def test_surplus_bytes_follow_the_body(lab: Lab, size: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.packet()
        await peer.send(await peer.exactly(size + 7))

    router = await lab.router(lab.node(script), post_buffering=100_000)
    body = os.urandom(size)
    assert await lab.ask(router, request("POST", length=size) + body + b"surplus") == (
        body + b"surplus"
    )


async def test_a_client_that_stalls_inside_its_body_bothers_no_node(lab: Lab) -> None:
    router = await lab.router(node := lab.node(), post_buffering=1000, timeout=0.2, errors="http")
    client = await lab.open(router, request("POST", length=10) + b"123")
    assert (await client.some()).startswith(b"HTTP/1.1 408 ")
    client.eof()
    assert "7 bytes are missing" in await lab.log.line("408 body-timeout")
    assert node.connections == 0
    await router.at_rest()


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
async def test_a_client_that_ends_inside_its_body_bothers_no_node(lab: Lab, size: int) -> None:
    router = await lab.router(node := lab.node(), post_buffering=100_000)
    client = await lab.open(router, request("POST", length=size) + b"123")
    client.eof()
    assert await client.rest() == b""
    assert (await router.at_rest()).client_aborts == 1
    assert node.connections == 0


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
async def test_a_body_is_intact_when_it_goes_to_the_next_node(lab: Lab, size: int) -> None:
    node = lab.node(answers_with_its_request())
    router = await lab.router(
        to=(lab.refused_tcp(), lab.missing_unix(), node.address), post_buffering=100_000
    )
    whole = request("POST", length=size) + os.urandom(size)
    assert await lab.ask(router, whole) == whole


async def test_a_collected_post_is_not_sent_again_either(lab: Lab) -> None:
    """It could be: but the node may have acted on it."""
    bad, good = lab.node(closes_without_a_byte), lab.node()
    router = await lab.router(to=(bad.address, good.address), post_buffering=1000)
    assert await lab.ask(router, request("POST", length=3) + b"abc") == b""
    assert good.connections == 0


async def test_an_unknown_key_is_refused_before_the_body_is_read(lab: Lab) -> None:
    router = await lab.subscribed(post_buffering=1000, errors="http")
    client = await lab.open(router, request("POST", length=10))
    assert (await client.some()).startswith(b"HTTP/1.1 404 ")
    client.eof()
    await router.at_rest()


async def test_a_client_that_resets_while_the_node_works_is_noticed(lab: Lab) -> None:
    """uWSGI looks no more at a client whose body it has spooled."""
    router = await lab.router(node := lab.held(), post_buffering=1000)
    client = await lab.open(router, request("POST", length=5000) + bytes(5000))
    upstream, _ = await node.next_packet()
    await upstream.exactly(5000)
    client.reset()
    await upstream.ending()
    assert (await router.at_rest()).client_aborts == 1


async def test_a_half_close_behind_the_body_reaches_the_node_behind_the_body(lab: Lab) -> None:
    got: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.packet()
        got.append(len(await peer.rest()))
        await peer.send(OK)

    router = await lab.router(lab.node(script, unix=True), post_buffering=1000)
    client = await lab.open(router, request("POST", length=2_000_000))
    await client.send(bytes(2_000_000))
    client.eof()
    assert await client.rest() == OK
    assert got == [2_000_000]


async def test_without_a_length_nothing_is_collected(lab: Lab) -> None:
    router = await lab.router(node := lab.held(), post_buffering=1000)
    await lab.open(router, request("POST") + b"streamed")
    upstream, _ = await node.next_packet()
    assert await upstream.exactly(8) == b"streamed"


async def test_many_bodies_at_once_do_not_mix(lab: Lab) -> None:
    router = await lab.router(lab.node(answers_with_its_request()), post_buffering=5000)
    whole = [
        request("POST", length=size) + bytes([size % 251]) * size for size in range(4990, 5010)
    ]
    assert await asyncio.gather(*(lab.ask(router, one) for one in whole)) == whole

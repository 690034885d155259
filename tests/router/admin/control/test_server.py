"""The control socket over real connections, and that nobody there can hold up the router or anybody else."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import OK, request
from tests.lab.router import Router
from tests.lab.scripts import held_by_the_test
from tests.lab.waiting import a_few_turns, until
from tests.router.admin.stats.test_server import unix_listener
from uwsgi_router.protocol.control import MAX_QUESTION, Question, encode_question
from uwsgi_router.router.admin.control.server import MAX_WITHHELD, ControlLimits, ControlServer
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.version import __version__, build

STATUS = encode_question(Question("status"))


@asynccontextmanager
async def serving(
    lab: Lab, limits: ControlLimits | None = None
) -> AsyncIterator[tuple[Router, str]]:
    """A router, and a control socket of it with these limits."""
    router = await lab.subscribed()
    path = str(lab.path())
    loop = asyncio.get_running_loop()
    server = ControlServer(
        [unix_listener(path)], router.instance.operator(), loop=loop, limits=limits
    )
    server.start()
    try:
        yield router, path
    finally:
        await server.close()


async def connect(path: str) -> Peer:
    peer = Peer(socket.socket(socket.AF_UNIX))
    await asyncio.get_running_loop().sock_connect(peer.sock, path)
    return peer


async def answer(peer: Peer) -> list[dict[str, Any]]:
    """The lines of one answer."""
    data = b""
    while not (lines := data.splitlines()) or not data.endswith(b"\n") or b'"ok"' not in lines[-1]:
        more = await peer.some()
        assert more, f"it ended after {data!r}"
        data += more
    return [json.loads(line) for line in lines]


async def ask(path: str, **members: object) -> list[dict[str, Any]]:
    peer = await connect(path)
    await peer.send(json.dumps({"v": 1, **members}).encode() + b"\n")
    try:
        return await answer(peer)
    finally:
        peer.close()


async def test_every_word(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        node = router.announce("127.0.0.1:9")
        ok = {"v": 1, "ok": True, "nodes": 1, "running": 0, "known": True}
        assert await ask(path, do="drain", node=node.name, timeout=5) == [ok]
        shown, done = await ask(path, do="status", key="example.com")
        assert (shown["node"]["node"], shown["node"]["state"]) == (node.name, "drained")
        assert done == {**ok, "version": __version__, "build": build()}
        assert await ask(path, do="weight", node=node.name, weight=6) == [ok]
        assert await ask(path, do="enable", node=node.name) == [ok]
        assert (node.weight, node.drained) == (6, False)
        assert await ask(path, do="weight", node=node.name) == [ok]
        assert node.weight == 1
        (nobody,) = await ask(path, do="drain", node="127.0.0.1:8", timeout=5)
        assert (nobody["ok"], nobody["nodes"], nobody["known"]) == (True, 0, False)
        (refused,) = await ask(path, do="enable", node="127.0.0.1:8")
        assert refused == {"v": 1, "ok": False, "error": "there is no node 127.0.0.1:8"}
        (refused,) = await ask(path, do="restart")
        assert "nothing is known of the word" in refused["error"]


async def test_who_did_it_is_in_the_log(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        router.announce("127.0.0.1:9")
        await ask(path, do="drain", node="127.0.0.1:9")
        who = f"user {os.getuid()}, process {os.getpid()}"
        assert lab.log.having(f"info [example.com] 127.0.0.1:9 is drained by {who}")


async def test_questions_may_come_byte_by_byte_and_one_after_the_other(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        router.announce("127.0.0.1:9")
        peer = await connect(path)
        for byte in STATUS:
            await peer.send(bytes([byte]))
        assert len(await answer(peer)) == 2
        await peer.send(STATUS)
        assert len(await answer(peer)) == 2
        await peer.send(STATUS * 3)
        peer.eof()
        assert (await peer.rest()).count(b'"ok":true') == 3
        peer.close()


async def test_a_drain_answers_when_the_last_request_has_ended(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        node = lab.node(held_by_the_test)
        router.announce(node.address)
        client = await lab.open(router, request())
        upstream = await node.next()
        await upstream.packet()
        waiting = asyncio.get_running_loop().create_task(
            ask(path, do="drain", node=node.address, timeout=30)
        )
        await lab.log.line("is drained by")
        (shown, _) = await ask(path, do="status")
        assert shown["node"]["running"] == 1
        (late,) = await ask(path, do="drain", node=node.address, timeout=0.05)
        assert (late["ok"], late["running"]) == (True, 1)
        assert not waiting.done()
        await upstream.send(OK)
        upstream.close()
        assert await client.rest() == OK
        assert (await waiting)[0]["running"] == 0


async def test_who_leaves_while_he_waits_is_waited_for_no_longer(lab: Lab) -> None:
    async with serving(lab, ControlLimits(connections=1)) as (router, path):
        router.announce("127.0.0.1:9").reference += 1
        peer = await connect(path)
        await peer.send(encode_question(Question("drain", "127.0.0.1:9", timeout=86_400)))
        await lab.log.line("is drained by")
        peer.close()
        shown, _ = await ask(path, do="status")
        assert shown["node"]["state"] == "drained"
        router.table.registry.named("127.0.0.1:9")[0].let_go()


async def test_a_node_that_is_enabled_meanwhile_is_an_error_to_who_drains_it(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        node = router.announce("127.0.0.1:9")
        node.reference += 1
        waiting = asyncio.get_running_loop().create_task(
            ask(path, do="drain", node=node.name, timeout=30)
        )
        await lab.log.line("is drained by")
        await a_few_turns()
        await ask(path, do="enable", node=node.name)
        assert (await waiting)[0]["error"] == "127.0.0.1:9 is in service again"
        node.let_go()


async def test_a_line_without_end_is_refused(lab: Lab) -> None:
    async with serving(lab) as (_, path):
        peer = await connect(path)
        await peer.send(b"x" * (MAX_QUESTION + 1))
        assert b"longer than 8192 bytes" in await peer.some()
        assert (await peer.ending())[0] == b""
        peer.close()


async def test_who_asks_nothing_is_cut_off(lab: Lab) -> None:
    async with serving(lab, ControlLimits(idle=0.1)) as (_, path):
        peer = await connect(path)
        await peer.send(b"{")
        assert await peer.rest() == b""
        peer.close()
        await lab.log.line("cut off a control client")


async def test_who_takes_no_answer_is_cut_off(lab: Lab) -> None:
    async with serving(lab, ControlLimits(stalled=0.1)) as (router, path):
        for port in range(1, 500):
            router.announce(f"127.0.0.1:{port}")
        peer = await connect(path)
        await peer.send(STATUS * 20)
        await lab.log.line("cut off a control client")
        peer.close()


async def test_a_flood_harms_neither_requests_nor_other_clients(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        node = lab.node()
        router.announce(node.address)
        flooding = [await connect(path) for _ in range(5)]

        async def flood(peer: Peer) -> None:
            loop = asyncio.get_running_loop()
            while True:
                await loop.sock_sendall(peer.sock, b"{}\n" * 20_000)

        async def swallow(peer: Peer) -> None:
            while await peer.some():
                pass

        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(what(peer)) for peer in flooding for what in (flood, swallow)]
        await lab.log.line("refused a question on the control socket")
        began = loop.time()
        for _ in range(20):
            assert await lab.ask(router) == OK
        assert len(await ask(path, do="status")) == 2
        assert loop.time() - began < 5
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in flooding:
            peer.close()


async def test_only_so_many_are_served_at_once_the_others_wait(lab: Lab) -> None:
    async with serving(lab, ControlLimits(connections=2)) as (_, path):
        silent = [await connect(path) for _ in range(2)]
        for peer in silent:
            await peer.send(STATUS)
            await answer(peer)
        waiting = asyncio.get_running_loop().create_task(ask(path, do="status"))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        silent[0].close()
        assert (await waiting)[-1]["ok"]
        silent[1].close()


async def test_closing_cuts_clients(lab: Lab) -> None:
    async with serving(lab) as (_, path):
        peer = await connect(path)
        await peer.send(STATUS)
        await answer(peer)
    assert (await peer.ending())[0] == b""
    peer.close()


# --- the file ---


@pytest.mark.parametrize("mode", [0o600, 0o660])
async def test_only_who_may_open_the_file_may_connect(lab: Lab, mode: int) -> None:
    path = str(lab.path())
    process = {"control_socket": path, "chmod_control_socket": mode, "chmod_socket": 0o666}
    router = await lab.router(process=process, subscription_servers=("127.0.0.1:0",))
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    assert (await ask(path, do="status"))[-1]["nodes"] == 0
    await router.stop()
    assert os.listdir(lab.tmp_path) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
async def test_it_can_be_given_away(lab: Lab) -> None:
    path = str(lab.path())
    process = {"control_socket": path, "chown_control_socket": "1234:4321"}
    await lab.router(process=process, subscription_servers=("127.0.0.1:0",))
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 4321, 0o600)


async def test_an_owner_that_does_not_exist_stops_the_start(lab: Lab) -> None:
    path = str(lab.path())
    with pytest.raises(StartError, match="chown-control-socket = nosuch: no such user"):
        await lab.router(process={"control_socket": path, "chown_control_socket": "nosuch"})
    assert os.listdir(lab.tmp_path) == []


async def withholding(path: str, node: str) -> Peer:
    peer = await connect(path)
    question = Question("drain", node, while_connected=True)
    await peer.send(encode_question(question))
    (done,) = await answer(peer)
    assert done["ok"]
    return peer


async def test_a_node_is_withheld_while_its_client_is_connected(lab: Lab) -> None:
    """However it ends, and however long it asks nothing."""
    async with serving(lab, ControlLimits(idle=0.05)) as (router, path):
        node = router.announce("127.0.0.1:9")
        peer = await withholding(path, node.name)
        assert node.drained
        # A client that asks nothing is gone by the time that this one is.
        idle = await connect(path)
        assert await idle.rest() == b""
        idle.close()
        assert node.drained
        peer.close()
        await until(lambda: not node.drained)


async def test_a_drain_on_the_connection_that_withholds_a_node_outlives_it(lab: Lab) -> None:
    async with serving(lab) as (router, path):
        node = router.announce("127.0.0.1:9")
        peer = await withholding(path, node.name)
        await peer.send(encode_question(Question("drain", node.name)))
        await answer(peer)
        peer.close()
        await lab.log.line("is not withheld any more by")
        assert node.drained


async def test_one_connection_withholds_so_many_nodes_and_no_more(lab: Lab) -> None:
    async with serving(lab) as (_, path):
        peer = await connect(path)
        for number in range(1, MAX_WITHHELD + 1):
            question = Question("drain", f"127.0.0.1:{number}", while_connected=True)
            await peer.send(encode_question(question))
            assert (await answer(peer))[0]["ok"]
        await peer.send(encode_question(Question("drain", "127.0.0.1:9", while_connected=True)))
        assert f"may withhold {MAX_WITHHELD} nodes" in (await answer(peer))[0]["error"]
        peer.close()


async def test_nothing_is_withheld_under_what_is_no_address(lab: Lab) -> None:
    async with serving(lab) as (_, path):
        (refused,) = await ask(path, do="drain", node="127.0.0.1:port", while_connected=True)
        assert refused["error"] == "there is no node 127.0.0.1:port"

"""Clients and nodes that do whatever comes to their mind: no answer goes astray, and nothing is left."""

import asyncio
import random

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import counts, nodes_of
from tests.lab.lab import Lab
from tests.lab.messages import Message, ask, chunks, post, says
from tests.lab.router import Router
from tests.lab.scripts import Script

CLIENTS = 12
REQUESTS = 12


def answer_to(chance: random.Random, what: bytes) -> tuple[bytes, bool]:
    """An answer that names its request, more or less; whether the connection may go on."""
    body = what * chance.choice((1, 1, 1, 400))
    whole = says(body)
    chunked = says(b"", "Transfer-Encoding: chunked", length=False) + chunks(body[:5], body[5:])
    hints = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
    kinds: list[tuple[bytes, bool]] = [
        (whole, True),
        (whole, True),
        (whole, True),
        (whole, False),
        (chunked, True),
        (chunked, False),
        (hints + whole, True),
        (says(body, length=False), False),
        (says(body, "Connection: close"), False),
        (says(body, "Keep-Alive: timeout=1"), True),
        (whole + b"more", True),
        (whole[:-1], False),
        (chunked[:-3], False),
        (hints, False),
        (b"garbage\r\n\r\n", False),
        (b"", False),
    ]
    return chance.choice(kinds)


def node(chance: random.Random, *, http: bool) -> Script:
    async def exchange(peer: Peer) -> bool:
        if http:
            request = await peer.head()
            what = request.target
            body = int(request.get("content-length") or 0)
        else:
            variables = (await peer.packet()).variables
            request = Message(b"", [])
            what, body = variables[b"REQUEST_URI"], int(variables[b"CONTENT_LENGTH"] or 0)
        if chance.random() < 0.9:
            await peer.exactly(body)
            if request.get("transfer-encoding"):
                while await peer.chunk():
                    pass
        else:
            body = -1
        answer, goes_on = answer_to(chance, what)
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            cut = chance.randrange(len(answer) + 1)
            await peer.send(answer[:cut])
            await asyncio.sleep(0)
            await peer.send(answer[cut:])
        else:
            await peer.send(answer)
        if chance.random() < 0.03:
            peer.reset()
            return False
        return http and goes_on and body >= 0

    async def script(peer: Peer) -> None:
        wire = peer
        while await exchange(wire):
            pass

    return script


def request(chance: random.Random, target: str) -> bytes:
    return chance.choice(
        (
            ask(target),
            ask(target),
            ask(target, "Connection: close"),
            ask(target, method="DELETE"),
            post(b"x" * chance.choice((1, 1000, 100_000)), target),
            post(b"x" * 9, target)[:-3],
            ask(target, "Transfer-Encoding: chunked", method="PUT") + chunks(b"abc", b"defg"),
            ask(target, "Transfer-Encoding: chunked", method="PUT") + b"5\r\nabc",
            ask(target, version="1.0"),
            ask(target)[:-9],
        )
    )


async def client(lab: Lab, router: Router, chance: random.Random, name: int) -> None:
    """Ask until one of us has had enough; every answer must be to what was asked."""
    for number in range(REQUESTS):
        peer = await lab.open(router)
        targets = [f"/{name}-{number}-{i}." for i in range(chance.choice((1, 1, 1, 3)))]
        try:
            await peer.send(b"".join(request(chance, target) for target in targets))
            way = chance.random()
            if way < 0.1:
                peer.reset()
                return
            if way < 0.2:
                peer.eof()
            if way < 0.3:
                await peer.some(chance.randrange(1, 60))
                peer.close()
                continue
            for target in targets:
                answer = await peer.answer()
                while answer.status < 200:
                    answer = await peer.answer()
                if answer.status == 200:
                    assert answer.body == target.encode() * (len(answer.body) // len(target))
                if answer.closes:
                    break
        except ConnectionError:
            pass
        peer.close()


@pytest.mark.parametrize("seed", range(2))
async def test_no_answer_goes_astray_and_nothing_is_left(lab: Lab, seed: int) -> None:
    chance = random.Random(seed)
    router = await lab.announced(timeout=0.2, backend_connections=2, post_buffering=seed % 2 * 999)
    for http in (True, True, False):
        proto = "http" if http else "uwsgi"
        router.announce(lab.node(node(chance, http=http)).address, proto=proto)
    await asyncio.gather(*(client(lab, router, chance, name) for name in range(CLIENTS)))
    await router.at_rest()
    assert router.counters.failed["bug"] == 0
    assert router.counters.completed > CLIENTS
    for announced in nodes_of(router):
        assert (await counts(router, announced))[0] == 0

"""Shares of a turn: whoever has much to send does not keep anybody else waiting.

Attackers send everything at once, and an innocent asks behind them. Both are there before the router gets a turn; so
what is compared is the order of events: how much the attackers have got done when the innocent has its answer.
"""

import pytest

from tests.lab.clients import Peer
from tests.lab.inside import living, only_node
from tests.lab.lab import Lab
from tests.lab.messages import OK, ask, says
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.waiting import a_few_turns, until
from tests.router.proxy.test_tunnels import handshake, switching, upgraded
from uwsgi_router.router.proxy.spool import Spool

ATTACKERS = 20
MEGABYTE = 1024 * 1024

CHUNKED = ask("/", "Transfer-Encoding: chunked", method="POST")


async def waiting(lab: Lab, router: Router) -> Peer:
    """A client that is connected, and has been accepted."""
    client = await lab.client(router)
    await a_few_turns()
    return client


async def served(innocent: Peer, node: Node) -> None:
    """Ask, and wait for the answer, which the test gives in the node's place."""
    innocent.sock.send(ask("/innocent", "Connection: close"))
    upstream = await node.next()
    await upstream.head()
    await upstream.send(OK)
    assert (await innocent.answer()).body == b"ok"


def send_at_once(peers: list[Peer], data: bytes) -> int:
    """Send as much of it as the kernel takes, without a turn for anybody; return how much that was."""
    return sum(peer.sock.send(data) for peer in peers)


async def tunnels(lab: Lab, node: Node, router: Router) -> tuple[list[Peer], list[Peer]]:
    clients, upstreams = [], []
    for _ in range(ATTACKERS):
        client = await lab.open(router, handshake())
        upstream = await upgraded(node, http=True)
        await upstream.send(switching())
        assert (await client.answer()).status == 101
        clients.append(client)
        upstreams.append(upstream)
    return clients, upstreams


# wsproto reads fragments: one costs as much as sixteen whole frames.
FRAGMENTS = b"\x02\x80\x01\x02\x03\x04" + b"\x00\x80\x01\x02\x03\x04" * 1_000


@pytest.mark.parametrize(
    "frames",
    [
        b"\x82\x80\x01\x02\x03\x04" * 10_000,
        b"\x81\x81\x01\x02\x03\x04\x60" * 8_500,
        b"\x89\x80\x01\x02\x03\x04" * 10_000,
        FRAGMENTS,
    ],
    ids=["empty", "text", "ping", "fragments"],
)
async def test_tiny_frames_are_checked_a_few_at_a_time(lab: Lab, frames: bytes) -> None:
    node = lab.held()
    router = await lab.to(node, websockets=True, websocket_check=True)
    attackers, upstreams = await tunnels(lab, node, router)
    innocent = await waiting(lab, router)
    before = only_node(router).rx
    sent = send_at_once(attackers, frames)
    await served(innocent, node)
    # The queue has its share of the turns meanwhile; compiled code gets more done in it.
    assert only_node(router).rx - before < sent / 2
    # All of them arrive, as they were.
    for upstream in upstreams:
        assert await upstream.exactly(len(frames)) == frames
        upstream.eof()
    for attacker in attackers:
        assert await attacker.rest() == b""
        attacker.close()


@pytest.mark.parametrize("http", [True, False])
async def test_tiny_chunks_are_decoded_a_few_at_a_time(lab: Lab, http: bool) -> None:
    node, collecting = lab.held(), lab.held()
    router = await lab.announced()
    router.announce(node.address, key=b"example.com", proto="http")
    router.announce(collecting.address, key=b"attacked", proto="http" if http else "uwsgi")
    head = CHUNKED.replace(b"example.com", b"attacked")
    attackers = [await lab.open(router, head) for _ in range(ATTACKERS)]
    if http:
        for _ in attackers:
            await (await collecting.next()).head()
    innocent = await waiting(lab, router)
    (node_of_attackers,) = router.table.registry.pools[b"attacked"].nodes
    before = node_of_attackers.rx
    spools = [] if http else living(Spool)
    assert http or len(spools) == ATTACKERS

    def done() -> int:
        if http:
            return node_of_attackers.rx - before
        return sum(spool.length for spool in spools)

    send_at_once(attackers, b"1\r\nx\r\n" * 10_000)
    await served(innocent, node)
    assert done() < ATTACKERS * 10_000 / 4
    await until(lambda: done() >= ATTACKERS * 10_000)
    for attacker in attackers:
        attacker.close()


async def test_answers_that_nobody_reads_do_not_come_before_small_ones(lab: Lab) -> None:
    node = lab.held()
    router = await lab.to(node)
    attackers, upstreams = [], []
    begun = says(bytes(MEGABYTE))[:100_000]
    for _ in range(100):
        attackers.append(await lab.open(router, ask()))
        upstream, _ = await node.next_head()
        await upstream.send(begun)
        upstreams.append(upstream)
    counted = router.counters.clients
    await until(lambda: counted.rx == 100 * len(begun))
    innocent = await waiting(lab, router)
    sent = send_at_once(upstreams, bytes(400_000))
    await served(innocent, node)
    assert counted.rx - 100 * len(begun) < sent / 2
    for attacker, upstream in zip(attackers, upstreams, strict=True):
        attacker.close()
        upstream.close()


async def test_who_goes_on_sending_after_a_refusal_is_read_a_piece_at_a_time(lab: Lab) -> None:
    node = lab.held()
    router = await lab.to(node)
    attackers = [await waiting(lab, router) for _ in range(3 * ATTACKERS)]
    innocent = await waiting(lab, router)
    sent = send_at_once(attackers, b"no request\r\n\r\n" + bytes(MEGABYTE))
    await served(innocent, node)
    assert router.counters.clients.tx < sent / 2
    # It is read all the same: a client that is reset would not see why.
    await until(lambda: router.counters.clients.tx >= sent)
    for attacker in attackers:
        assert (await attacker.answer()).status == 400
        attacker.close()


async def test_a_collected_body_is_sent_a_piece_at_a_time(lab: Lab) -> None:
    node, collecting = lab.held(), lab.held()
    router = await lab.announced(post_buffering=2 * MEGABYTE)
    router.announce(node.address, key=b"example.com", proto="http")
    attacked = router.announce(collecting.address, key=b"attacked", proto="http")
    length = MEGABYTE
    head = ask("/", f"Content-Length: {length}", method="POST", host="attacked")
    count = 3 * ATTACKERS
    attackers = [await lab.open(router, head + bytes(length - 1)) for _ in range(count)]
    await until(lambda: router.counters.clients.tx == count * (len(head) + length - 1))
    innocent = await waiting(lab, router)
    # They are whole only now: all of them are sent on in the same turn.
    send_at_once(attackers, b"\0")
    await served(innocent, node)
    assert attacked.rx < count * length / 2
    for attacker in attackers:
        attacker.close()


async def test_a_node_that_answers_before_it_has_the_whole_body_is_not_kept(lab: Lab) -> None:
    node = lab.held()
    router = await lab.to(node, post_buffering=8 * MEGABYTE, backend_keepalive=60.0)
    client = await lab.open(router, ask(body=bytes(4 * MEGABYTE), method="POST"))
    upstream, _ = await node.next_head()
    await upstream.send(OK)
    assert (await client.answer()).status == 200
    # Another request on this connection would be taken for a part of the body.
    await upstream.ending()
    client.close()

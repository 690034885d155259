"""Nodes that fail their checks get no requests; nodes that fail requests get fewer."""

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import OK, request, status_of
from tests.lab.router import Router
from tests.lab.scripts import (
    Script,
    Then,
    answers,
    closes_without_a_byte,
    never_answers,
    plays,
    resets_without_a_byte,
)
from tests.lab.waiting import a_few_turns, until
from uwsgi_router.protocol.uwsgi import PONG, decode_header
from uwsgi_router.router.admin.stats.document import document
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.table.timing import TableTiming

SOON = Checks(ping=True, interval=0.01, rise=2, fall=2)
POST = request("POST", length=0)


class App:
    """A uwsgi node: it answers requests and, while it is well, pings."""

    def __init__(self) -> None:
        self.well = True
        self.pings = 0

    async def __call__(self, peer: Peer) -> None:
        head = await peer.exactly(4)
        modifier1, size, _ = decode_header(head)
        if modifier1 == 100:
            self.pings += 1
            if self.well:
                await peer.send(PONG)
            return
        await peer.exactly(size)
        await peer.send(OK)


async def test_an_unhealthy_node_gets_no_requests_and_comes_back_by_itself(lab: Lab) -> None:
    one, other = App(), App()
    router = await lab.subscribed(subscription={"check": SOON})
    ill = router.announce(lab.node(one).address)
    well = router.announce(lab.node(other).address)
    one.well = False
    line = await lab.log.line("is not used")
    assert line.startswith(
        f"warning [example.com] {ill.name} is not used, its check fails: it ended"
    )
    for _ in range(4):
        assert await lab.ask(router) == OK
    assert (ill.requests, well.requests) == (0, 4)
    router.announce(ill.name)
    assert await lab.ask(router) == OK
    assert ill.requests == 0
    one.well = True
    await lab.log.line("is used, its check succeeds")
    for _ in range(6):
        await lab.ask(router)
    assert ill.requests in {3, 4}
    assert len(lab.log.having("its check")) == 2
    await router.at_rest()


async def test_without_a_healthy_node_requests_are_refused_with_the_reason(lab: Lab) -> None:
    app = App()
    app.well = False
    router = await lab.subscribed(subscription={"check": SOON}, errors="http")
    node = router.announce(lab.node(app).address)
    await lab.log.line("is not used")
    answer = await lab.ask(router)
    assert status_of(answer) == 503
    line = await lab.log.line("503 unhealthy")
    assert f"no node of this key passes its checks: {node.name}: it ended the connection" in line
    shown = document(router.gateway, now=0, wall=0)["subscriptions"]
    assert isinstance(shown, list)
    assert shown[0]["nodes"][0]["unhealthy"] == 1
    await router.at_rest()


async def test_a_fallback_stands_in_for_unhealthy_nodes(lab: Lab) -> None:
    app = App()
    app.well = False
    router = await lab.subscribed(
        subscription={"check": SOON}, fallback=(lab.node(answers(b"sorry")).address,)
    )
    router.announce(lab.node(app).address)
    await lab.log.line("is not used")
    assert await lab.ask(router) == b"sorry"


async def test_held_requests_go_on_when_a_node_becomes_healthy(lab: Lab) -> None:
    """Also the first requests of a node that has to be checked first."""
    app = App()
    app.well = False
    first = Checks(ping=True, interval=0.01, first=True)
    router = await lab.subscribed(subscription={"check": first}, hold=30)
    router.announce(lab.node(app).address)
    client = await lab.open(router, request())
    await until(lambda: router.counters.holding == 1)
    app.well = True
    assert await client.rest() == OK


async def test_unhealthy_nodes_do_not_close_the_door_of_a_cheap_router(lab: Lab) -> None:
    """A 503 tells more than a connect that nobody accepts."""
    app = App()
    app.well = False
    router = await lab.subscribed(subscription={"check": SOON}, cheap=True, errors="http")
    router.announce(lab.node(app).address)
    await lab.log.line("is not used")
    assert not router.gateway.cheap
    assert status_of(await lab.ask(router)) == 503


async def test_without_the_option_nobody_is_asked(lab: Lab) -> None:
    app = App()
    router = await lab.subscribed()
    router.announce(lab.node(app).address)
    assert await lab.ask(router) == OK
    await a_few_turns()
    assert app.pings == 0
    assert router.instance.tables.probers == []


# --- requests that fail ---


async def with_spare(lab: Lab, script: Script, **options: object) -> Router:
    """A router with a node that fails and one that does not, one after the other."""
    router = await lab.subscribed(subscription={"max_fails": 3}, **options)
    router.announce(lab.node(script).address)
    router.announce(lab.node().address)
    return router


@pytest.mark.parametrize(
    "script",
    [closes_without_a_byte, resets_without_a_byte, never_answers],
    ids=["closes", "resets", "never answers"],
)
async def test_a_node_that_fails_requests_in_a_row_is_ejected_while_others_serve(
    lab: Lab, script: Script
) -> None:
    lab.table_timing = TableTiming(first_ejection=60.0)
    router = await with_spare(lab, script, timeout=0.3)
    bad, good = router.table.registry.pools[b"example.com"].nodes
    while not bad.ejected:
        await lab.ask(router, POST)
    assert bad.requests == 3
    assert bad.failcnt == 0
    line = await lab.log.line("in a row")
    assert (
        line
        == f"warning [example.com] {bad.name} is ejected for 60 s: it failed 3 requests in a row"
    )
    before = good.requests
    for _ in range(5):
        assert await lab.ask(router, POST) == OK
    assert good.requests == before + 5
    await router.at_rest()


async def test_an_answer_that_was_broken_off_counts(lab: Lab) -> None:
    router = await lab.subscribed()
    node = router.announce(lab.node(plays(OK[:-1], Then.RESET)).address)
    client = await lab.open(router, POST)
    assert (await client.ending())[1] == "reset"
    await lab.log.line("502 reset")
    assert node.fails == 1


async def test_the_last_node_of_a_key_is_used_although_it_is_ejected(lab: Lab) -> None:
    replies = [closes_without_a_byte] * 4 + [answers()]

    async def script(peer: Peer) -> None:
        await replies.pop(0)(peer)

    router = await lab.subscribed(subscription={"max_fails": 3})
    node = router.announce(lab.node(script).address)
    for _ in range(4):
        assert await lab.ask(router, POST) == b""
    await lab.log.line("in a row")
    assert await lab.ask(router, POST) == OK
    assert not node.ejected
    await lab.log.line("answers again")


async def test_an_answer_between_failures_counts_from_the_beginning_again(lab: Lab) -> None:
    replies = [closes_without_a_byte, closes_without_a_byte, answers()] * 3

    async def script(peer: Peer) -> None:
        await replies.pop(0)(peer)

    router = await lab.subscribed(subscription={"max_fails": 3})
    node = router.announce(lab.node(script).address)
    for _ in range(9):
        await lab.ask(router, POST)
    assert not node.ejected


async def test_a_get_that_was_sent_again_counts_against_the_first_node(lab: Lab) -> None:
    router = await with_spare(lab, closes_without_a_byte)
    bad, _ = router.table.registry.pools[b"example.com"].nodes
    while not bad.ejected:
        assert await lab.ask(router) == OK
    assert bad.requests == 3


async def test_what_a_client_can_cause_does_not_count(lab: Lab) -> None:
    """Else anybody could have a key's nodes ejected."""
    large = request("POST", length=0, HTTP_COOKIE="x" * 5000)
    router = await lab.subscribed(subscription={"max_fails": 1})
    closing = router.announce(lab.node(closes_without_a_byte).address)
    assert await lab.ask(router, large) == b""
    await lab.log.line("buffer-size")
    assert closing.fails == 0
    router.leave(closing.name)
    await until(lambda: closing.reference == 0)

    held = lab.held()
    waiting = router.announce(held.address)
    client = await lab.open(router, POST)
    await held.next()
    client.reset()
    await until(lambda: router.counters.client_aborts == 1)
    assert waiting.fails == 0


async def test_a_body_that_the_client_owes_does_not_count(lab: Lab) -> None:
    router = await lab.subscribed(subscription={"max_fails": 1}, timeout=0.3)
    node = router.announce(lab.node(never_answers).address)
    client = await lab.open(router, request("POST", length=10) + b"abc")
    assert await client.rest() == b""
    await lab.log.line("body-timeout")
    assert node.fails == 0


async def test_0_switches_it_off(lab: Lab) -> None:
    router = await lab.subscribed(subscription={"max_fails": 0})
    node = router.announce(lab.node(closes_without_a_byte).address)
    for _ in range(6):
        await lab.ask(router, POST)
    assert not node.ejected

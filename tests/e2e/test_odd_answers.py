"""Odd answers of a node through nginx, HAProxy and the router: what both pass passes here, or is listed."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.odd_answers import ENDED, ODD, REFUSED, Read, read
from tests.lab.clients import Client, Peer
from tests.lab.messages import ask
from tests.lab.nodes import in_a_thread
from tests.lab.place import Place, temporary
from tests.lab.programs import ROOT
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers

NAMES = list(ODD)


class Proxies:
    """The three in front of one node.

    Attributes:
        reads: what a client reads through each, by the name of the answer.
        reasons: the word of the router's access log for each; "-": there was nothing wrong.
    """

    def __init__(self, lab: Place, node: str) -> None:
        log = lab.directory / "access.log"
        router = lab.http_router(
            *(f"--http-to={node}", "--http-backend-http", "--http-keepalive"),
            *(f"--http-access-log={log}", "--http-access-log-format=json"),
        )
        nginx, haproxy = lab.nginx_and_haproxy(node)
        addresses = {"nginx": nginx.address, "haproxy": haproxy.address, "router": router.address}
        self.reads = {
            name: {who: _read(at, number) for who, at in addresses.items()}
            for number, name in enumerate(NAMES)
        }

        def reasons() -> dict[str, str]:
            entries = [json.loads(line) for line in log.read_text().splitlines()]
            found = {NAMES[int(entry["target"][1:])]: entry["reason"] for entry in entries}
            return found if len(found) == len(NAMES) else {}

        self.reasons = wait_until(reasons, "each request has its line in the access log")


def _read(address: str, number: int) -> Read:
    with Client(address) as client:
        client.send(ask(f"/{number}", "Connection: close"))
        return read(*client.ending())


async def says_what_the_path_asks_for(peer: Peer) -> None:
    request = await peer.head()
    await peer.send(ODD[NAMES[int(request.target[1:])]])
    peer.eof()
    await peer.rest()


@pytest.fixture(scope="module")
def proxies() -> Iterator[Proxies]:
    with temporary() as lab, in_a_thread(script=says_what_the_path_asks_for) as node:
        yield Proxies(lab, node.address)


def test_what_both_pass_passes_here_or_is_listed(proxies: Proxies) -> None:
    listed = {name for names in REFUSED.values() for name in names}
    others = {
        name: reads
        for name, reads in proxies.reads.items()
        if reads["nginx"].passed and reads["nginx"] == reads["haproxy"] != reads["router"]
    }
    assert {name: reads for name, reads in others.items() if name not in listed} == {}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_listed_is_refused(proxies: Proxies, what: str) -> None:
    assert [name for name in REFUSED[what] if proxies.reads[name]["router"].passed] == []
    rows = (ROOT / "docs/compatibility.md").read_text().splitlines()
    assert [row for row in rows if row.startswith(f"| {what} | ")]


def test_the_log_tells_bad_answers_from_those_that_ended(proxies: Proxies) -> None:
    words = {}
    for name, reads in proxies.reads.items():
        if not reads["router"].passed:
            words[name] = "cut-short" if name in ENDED else "bad-answer"
    words["nothing"] = "no-answer"
    assert {name: word for name, word in proxies.reasons.items() if word != "-"} == words
    assert words.keys() >= ENDED

"""Every vector through the running router: what the client gets, and what arrives at the node."""

from collections.abc import Iterable, Iterator

import pytest

from tests.e2e.judge import MUST, OF_THE_NODE, begun, judge
from tests.e2e.vectors import AFTER, Vector, alone, exchange, in_pieces, load
from tests.lab.commands import HttpRouter
from tests.lab.nodes import Kind, Node, in_a_thread
from tests.lab.place import Place

#: The deadline for heads is what ends ``head-silent``.
OPTIONS = ("--http-websockets", "--http-headers-timeout=1")
KEEPALIVE = ("--http-keepalive", "--http-auto-chunked")
#: Hosts that vectors which are accepted ask for.
KEYS = ("example.com", "real.example")
SILENT = "head-silent"
VECTORS = load()


class Site:
    """A router and one recording node, announced under each key."""

    def __init__(self, lab: Place, node: Node, *options: str) -> None:
        self.node = node
        self.router: HttpRouter = lab.http_router(*OPTIONS, *options, subscriptions=True)
        for key in KEYS:
            self.router.node(node.address, key=key, proto=node.proto, cores=4)

    def wrong(self, vectors: Iterable[Vector]) -> dict[str, list[str]]:
        """Send vectors; return what was wrong with each."""
        wrong = {vector.name: problems for vector in vectors if (problems := self.play(vector))}
        if unended := begun(self.node.seen):
            wrong["begun and not ended"] = [str(request) for request in unended]
        return wrong

    def play(self, vector: Vector) -> list[str]:
        """Send a vector; return what was wrong, what the node could not read too."""
        before, errors = len(self.node.seen), len(self.node.errors)
        seen = exchange(vector, self.router.address)
        problems = judge(vector, seen, self.node.seen[before:])
        return problems + [str(error) for error in self.node.errors[errors:]]


@pytest.fixture(params=["uwsgi", "uwsgi, chunked input", "http"])
def site(request: pytest.FixtureRequest, lab: Place) -> Iterator[Site]:
    """Over uwsgi nodes that get bodies whole, or in chunks; over kept HTTP connections."""
    with in_a_thread("http" if request.param == "http" else "uwsgi") as node:
        options = ["--http-chunked-input"] if "chunked" in request.param else []
        yield Site(lab, node, *KEEPALIVE, *options)


def test_every_vector_gets_what_it_asks_for(site: Site) -> None:
    assert site.wrong(VECTORS) == {}


@pytest.mark.parametrize("size", [1, 7])
def test_it_makes_no_difference_in_which_pieces_a_vector_comes(site: Site, size: int) -> None:
    """And an early refusal is not lost when more comes after it."""
    assert site.wrong(in_pieces(v, size) for v in VECTORS if v.name != SILENT) == {}


@pytest.mark.parametrize("kind", ["uwsgi", "http"], ids=["UwsgiNode", "HttpNode"])
def test_without_keepalive_the_first_request_is_answered_and_no_other(
    lab: Place, kind: Kind
) -> None:
    with in_a_thread(kind) as node:
        assert Site(lab, node).wrong(alone(v) for v in VECTORS if v.name != SILENT) == {}


def test_the_node_has_seen_no_request_but_those_that_were_answered(site: Site) -> None:
    """All at the end: a request that was made of a refused one may come late."""
    expected = len(site.node.seen)
    for vector in VECTORS:
        if vector.name != SILENT:
            seen = exchange(vector, site.router.address)
            if seen.ending == "kept" and seen.final[-1].status != 101:
                expected += 1
            expected += sum(r.status in OF_THE_NODE for r in seen.final)
    site.router.stop()
    assert len(site.node.requests) == expected
    assert begun(site.node.seen) == []


def test_pooled_connections_were_used_again(lab: Place) -> None:
    """Or the vectors over HTTP nodes show nothing about connections that requests share."""
    with in_a_thread() as node:
        site = Site(lab, node, *KEEPALIVE)
        for vector in VECTORS:
            if vector.name != SILENT:
                exchange(vector, site.router.address)
        requests = len([request for request in node.seen if request.target != AFTER.encode()])
        assert node.connections < requests / 2


def test_every_condition_on_the_node_is_checked() -> None:
    assert {vector.name for vector in VECTORS if vector.must} == MUST.keys()

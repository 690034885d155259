"""Whose node is whose: what was said, processes, listeners, names; and what can't be told."""

import pytest

from uwsgi_router.router.rollout.mapping import AmbiguousNode, Candidate, NodeMap
from uwsgi_router.router.rollout.views import NodePlace, SeenNode


def node(address: str, *, pid: int = 0, vassal: str = "", key: str = "a") -> SeenNode:
    return SeenNode(NodePlace("r", key, address), pid=pid, vassal=vassal)


def mapped(
    names: str,
    *nodes: SeenNode,
    listeners: dict[int, list[str]] | None = None,
    said: dict[str, str] | None = None,
) -> dict[str, list[str]]:
    """Addresses by vassal; the first of them is process 1."""
    vassals = [Candidate(one, f"{one}.ini", pid) for pid, one in enumerate(names.split(), 1)]
    node_map = NodeMap(lambda pid: (listeners or {}).get(pid, []), said or {})
    found = node_map.places(vassals, nodes)
    return {name: sorted(place.address for place in places) for name, places in found.items()}


def test_what_was_said_counts_more_than_everything_else() -> None:
    assert mapped("one two", node("/run/one.sock", pid=1), said={"/run/one.sock": "two.ini"}) == {
        "one": [],
        "two": ["/run/one.sock"],
    }


def test_a_process_counts_more_than_its_listener_and_that_more_than_names() -> None:
    nodes = node("/run/one.sock", pid=2), node("127.0.0.1:1"), node("/run/x/one.sock")
    listeners = {1: ["/run/one.sock"], 2: ["0.0.0.0:1"]}
    assert mapped("one two", *nodes, listeners=listeners) == {
        "one": ["/run/x/one.sock"],
        "two": ["/run/one.sock", "127.0.0.1:1"],
    }


def test_what_it_says_of_itself() -> None:
    assert mapped("one two", node("/x", vassal="two.ini"), node("/y", vassal="two")) == {
        "one": [],
        "two": ["/x", "/y"],
    }


@pytest.mark.parametrize(
    ("address", "listener", "whose"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("localhost:1", "127.0.0.1:1", True),
        ("[::1]:1", "[::]:1", True),
        (":1", "10.0.0.1:1", True),
        ("@name", "@name", True),
        ("@name", "/name", False),
        ("/tmp/../tmp/x", "/tmp/x", True),
        ("127.0.0.1:1", "/run/127.0.0.1:1", False),
    ],
)
def test_listeners(address: str, listener: str, whose: bool) -> None:
    found = mapped("vassal", node(address), listeners={1: [listener]})
    assert found == {"vassal": [address] if whose else []}


def test_names_with_dots_are_whole_and_then_up_to_the_first_dot() -> None:
    nodes = node("/run/a.b.sock"), node("/run/a.c"), node("/run/d.x.sock")
    assert mapped("a.b a.c d", *nodes) == {
        "a.b": ["/run/a.b.sock"],
        "a.c": ["/run/a.c"],
        "d": ["/run/d.x.sock"],
    }


def test_a_node_of_nobody_is_left_alone() -> None:
    assert mapped("one", node("10.0.0.1:1"), node("/run/two.sock")) == {"one": []}


@pytest.mark.parametrize(
    ("names", "address", "listeners"),
    [
        ("one two", "127.0.0.1:1", {1: ["127.0.0.1:1"], 2: ["127.0.0.1:1"]}),
        ("a.b a.c", "/run/a.sock", {}),
    ],
)
def test_a_node_that_may_be_of_two_is_an_error(
    names: str, address: str, listeners: dict[int, list[str]]
) -> None:
    with pytest.raises(AmbiguousNode, match="--node NAME=ADDRESS"):
        mapped(names, node(address), listeners=listeners)
    first = names.split(maxsplit=1)[0]
    assert mapped(names, node(address), listeners=listeners, said={address: first})[first]

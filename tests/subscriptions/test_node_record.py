"""Records of nodes: what one process says another understands, and nothing else does it take for one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.subscriptions.grant import Grant
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.node_record import NodeRecord, RecordError, decode
from uwsgi_router.subscriptions.sender import Credentials
from uwsgi_router.subscriptions.shared_registry import SharedRegistry, share
from uwsgi_router.subscriptions.sni import Sni

PLAIN = NodeRecord(
    order=1,
    key=b"example.com",
    name="10.0.0.1:80",
    algorithm="wrr",
    modifier1=0,
    modifier2=0,
    proto="uwsgi",
    cores=0,
    load=0,
    announced_weight=1,
    set_weight=None,
    backup=0,
    vassal=None,
    via=(),
    source="10.0.0.1",
    credentials=None,
    owner=None,
    socket_owner=None,
    sni=None,
    last_seen=12.25,
    alive_at=12.25,
    death_mark=False,
    stale=False,
    drained=False,
    check_failure="",
    suspect=False,
    fails=0,
    ejection=0.0,
    ejected_until=0.0,
    failcnt=0,
    totals=(0, 0, 0),
)
FULL = replace(
    PLAIN,
    key=b"/m\xc3\xbc\xff",
    name="/run/app.sock",
    algorithm="wlrc",
    proto="http",
    set_weight=9,
    vassal=b"\xff",
    via=(b"abc", b"0"),
    source=None,
    credentials=Credentials(7, 8, 9),
    owner=8,
    socket_owner=8,
    sni=Sni(b"/k", b"/c", b"/\xff", True),
    drained=True,
    check_failure="it says 503",
    suspect=True,
    fails=5,
    ejection=2.0,
    ejected_until=99.5,
    failcnt=3,
    totals=(1, 2, 3),
)


def sent(record: NodeRecord) -> Any:
    return json.loads(json.dumps(record.encode()))


@pytest.mark.parametrize("record", [PLAIN, FULL])
def test_round_trip(record: NodeRecord) -> None:
    assert decode(sent(record)) == record


@given(
    st.builds(
        replace,
        st.just(PLAIN),
        order=st.integers(1, 1 << 62),
        cores=st.integers(0, 2**32 - 1),
        announced_weight=st.integers(1, 1_000_000),
        vassal=st.none() | st.binary(),
        last_seen=st.floats(0, 1e9),
        ejected_until=st.floats(0, 1e9),
        check_failure=st.text(),
        totals=st.tuples(*[st.integers(0, 1 << 60)] * 3),
    )
)
def test_whatever_is_sent_is_read(record: NodeRecord) -> None:
    assert decode(sent(record)) == record


WRONG: list[tuple[int, Any]] = [
    (0, -1),
    (0, True),
    (1, ""),
    (1, "a b"),
    (1, "\ud800"),
    (3, "fastest"),
    (4, 256),
    (6, "http2"),
    (9, 0),
    (10, 0),
    (13, "abc"),
    (13, ["a"] * 17),
    (15, [1, 2]),
    (18, ["/k", "/c", None]),
    (19, float("nan")),
    (19, float("inf")),
    (21, 1),
    (24, None),
    (30, [1, 2]),
    (30, [1, 2, -3]),
]


@pytest.mark.parametrize(("index", "value"), WRONG)
def test_one_wrong_value_is_enough(index: int, value: Any) -> None:
    values = sent(FULL)
    values[index] = value
    with pytest.raises(RecordError):
        decode(values)


@pytest.mark.parametrize("values", [None, {}, [], [1] * 30])
def test_anything_else_is_no_record(values: Any) -> None:
    with pytest.raises(RecordError):
        decode(values)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_nothing_else_is_raised(values: Any) -> None:
    with pytest.raises(RecordError):
        decode(values)


def put(registry: SharedRegistry, record: NodeRecord) -> SubscribedNode:
    grant = Grant(record.credentials, record.owner, record.socket_owner)
    return registry.put(record, grant)[0]


@pytest.mark.parametrize("record", [PLAIN, FULL, replace(PLAIN, death_mark=True, stale=True)])
def test_a_node_that_is_put_into_a_table_gives_the_same_record(record: NodeRecord) -> None:
    registry = SharedRegistry(started=0.0)
    node = put(registry, record)
    assert registry.record_of(node, record.totals) == record
    assert node.is_http == (record.proto in {"http", "https"})
    assert put(registry, replace(record, load=7)) is node
    assert registry.record_of(node, record.totals) == replace(record, load=7)


def test_what_is_put_in_again_moves_a_node_among_its_own() -> None:
    registry = SharedRegistry(started=0.0)
    node = put(registry, PLAIN)
    assert (len(registry), registry.empty) == (1, False)
    put(registry, replace(PLAIN, death_mark=True))
    assert registry.empty
    assert registry.choose(PLAIN.key) is None
    put(registry, replace(PLAIN, death_mark=True, stale=True))
    assert registry.choose(PLAIN.key) is node
    put(registry, PLAIN)
    put(registry, replace(PLAIN, drained=True))
    assert registry.choose(PLAIN.key) is None
    registry.take_out(node, 0.0)
    assert not registry.pools
    assert registry.was_announced(PLAIN.key, 1.0)


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_add_up_and_differ_by_one_at_most(limit: int, processes: int) -> None:
    shares = [share(limit, processes, number) for number in range(processes)]
    assert sum(shares) == limit
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)

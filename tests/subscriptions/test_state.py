"""The table as a file: what is kept, and that nothing but a right file is read."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.keys import normal_keys
from tests.subscriptions.table import KEY, Table
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.grant import Grant
from uwsgi_router.subscriptions.replay import ReplayMemory, Used
from uwsgi_router.subscriptions.sender import Credentials
from uwsgi_router.subscriptions.sni import Sni
from uwsgi_router.subscriptions.state import (
    Saved,
    SavedNode,
    SavedTable,
    StateError,
    lines_of,
    parse,
)

WALL = 1_795_231_304.0
EVERYTHING = Subscription(
    "subscribe",
    b"\xff.example/\xfe",
    "10.0.0.1:3031",
    modifier1=5,
    modifier2=6,
    cores=7,
    load=8,
    weight=9,
    algo="lrc",
    backup=10,
    proto="uwsgi",
    vassal=b"v\xfe",
    sni_key=b"/c/\xff.key",
    sni_crt=b"/c/a.crt",
    sni_ca=b"!/c/ca.crt",
    via=(b"x", b"y"),
)


def saved(table: Table, used: ReplayMemory | None = None) -> bytes:
    tables = {":3032": (table.registry, used)}
    return b"".join(lines_of(tables, now=table.now, wall=WALL))


def read(table: Table) -> SavedTable:
    (one,) = parse(saved(table)).tables
    return one


def test_a_node_is_kept_with_all_that_it_said_and_who_it_was() -> None:
    table = Table()
    sni = Sni(b"/c/\xff.key", b"/c/a.crt", b"/c/ca.crt", ca_required=True)
    me = Credentials(1, 2, 3)
    table.registry.apply(
        EVERYTHING, source="fd00::1", now=table.now, grant=Grant(me, owner=2), sni=sni
    )
    assert parse(saved(table, ReplayMemory(60))) == Saved(
        WALL, [SavedTable(":3032", True, [SavedNode(EVERYTHING, "fd00::1", me, False)])]
    )


def test_a_node_that_said_little_takes_little_room() -> None:
    table = Table()
    table.announce(":3031")
    line = saved(table).splitlines()[2]
    assert json.loads(line) == {
        "key": "example.com",
        "address": "10.9.9.9:3031",  # where it was found to be
        "algo": "wrr",
        "source": "10.9.9.9",
    }


def test_the_silent_stay_silent_and_the_dead_are_left_out() -> None:
    table = Table()
    table.announce("/silent")
    table.now += 18
    table.sweep()
    table.announce("/dead")
    table.node("/dead").reference = 1
    table.leave("/dead")
    assert [(node.subscription.address, node.stale) for node in read(table).nodes] == [
        ("/silent", True)
    ]


def test_keys_without_nodes_are_kept_with_their_age_and_owner() -> None:
    table = Table()
    table.announce("/a", b"old", grant=Grant(owner=5))
    table.leave("/a", b"old", grant=Grant(owner=5))
    table.now += 100
    table.announce("/b", b"dying")
    table.node("/b", b"dying").reference = 1
    table.leave("/b", b"dying")
    assert sorted(read(table).known) == [(b"dying", WALL, None), (b"old", WALL - 100, 5)]


def test_restored_nodes_have_one_tolerance_and_silent_ones_are_the_last_resort() -> None:
    table = Table()

    def restore(address: str, *, stale: bool) -> None:
        table.registry.restore(
            Subscription("subscribe", KEY, address),
            source=None,
            now=table.now,
            grant=Grant(),
            sni=None,
            stale=stale,
        )

    restore("/silent", stale=True)
    restore("/a", stale=False)
    assert [table.choose() for _ in range(3)] == ["/a"] * 3
    table.leave("/a", source=None)
    assert table.choose() == "/silent"
    restore("/a", stale=False)
    table.now += 17.5
    table.sweep()
    assert table.node("/a").stale
    table.now += 17 * 2
    table.sweep()
    assert table.names() == ["/a"]
    table.announce("/a", source=None)
    assert not table.node("/a").death_mark


def test_a_remembered_key_is_known_for_the_rest_of_its_hour() -> None:
    table = Table()
    table.announce("/a")
    table.registry.remember(b"old", table.now - 3000, None)
    table.registry.remember(KEY, table.now - 3000, None)
    assert table.registry.is_known(b"old", table.now)
    assert [key for key, _, _ in table.registry.remembered()] == [b"old"]
    table.now += 601
    assert not table.registry.is_known(b"old", table.now)


def test_signed_times_stay_used() -> None:
    memory = ReplayMemory(86_400, max_nodes=2)
    times = [("subscribe", 100), ("subscribe", 110), ("unsubscribe", 121)]
    for number in range(4):
        for command, time in times:
            memory.use("k.pem", (b"k", f"/{number}"), command, time + number)  # type: ignore[arg-type]
    (one,) = parse(saved(Table(), memory)).tables
    assert Used("k.pem", None, 122) in one.used
    again = ReplayMemory(86_400, max_nodes=2)
    for used in one.used:
        again.restore(used)
    assert list(again.items()) == list(memory.items())
    for number in range(4):
        for time in range(90, 140):
            for command in ("subscribe", "unsubscribe"):
                asked = ("k.pem", (b"k", f"/{number}"), command, time)
                assert again.allows(*asked) == memory.allows(*asked)  # type: ignore[arg-type]


def test_times_that_were_used_while_our_clock_was_ahead_outlive_a_restart() -> None:
    memory = ReplayMemory(86_400)
    for time in (100, 110, 120):
        memory.use("k.pem", (b"k", "/a"), "subscribe", time)
    memory.clock_went_back(105)
    memory.use("k.pem", (b"k", "/a"), "subscribe", 107)
    (one,) = parse(saved(Table(), memory)).tables
    assert one.used == [Used("k.pem", (b"k", "/a"), 107, None, 0b10000001, (110, 120))]
    assert list(memory.items()) == one.used


HEAD = {"format": "uwsgi-router state", "version": 1, "saved": 5}
TABLE = {"table": ":3032", "signed": False}
NODE = {"key": "k", "address": "/a"}
USED = {"signer": "k.pem", "key": "k", "address": "/a", "floor": 5}


def document(*lines: Any, head: Any = HEAD, end: Any = None) -> bytes:
    every = [head, *lines, {"end": len(lines)} if end is None else end]
    return b"".join(json.dumps(line).encode() + b"\n" for line in every)


def test_what_the_examples_below_spoil_is_right() -> None:
    assert parse(document(TABLE, NODE)) == Saved(
        5, [SavedTable(":3032", False, [SavedNode(Subscription("subscribe", b"k", "/a"), None, None, False)])]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\0" * 50, "its last line has no end"),
        (b"\xff\xfe\n\n", "line 1 is not JSON"),
        (b"[" * 100_000 + b"\n\n", "line 1 is not JSON"),
        (document(TABLE, head=[1]), "line 1 is no object"),
        (document(TABLE, head=HEAD | {"version": 2}), "no state of this version"),
        (document(TABLE, head=HEAD | {"format": "x"}), "no state of this version"),
        (document(TABLE, head=HEAD | {"saved": None}), "saved is no number"),
        (document(TABLE, NODE)[:-1], "its last line has no end"),
        (document(TABLE, NODE)[:-10], "its last line has no end"),
        (document(TABLE, NODE, end=NODE), "it is not whole"),
        (document(TABLE, NODE, end={"end": 3}), "it is not whole"),
        (document(NODE), "line 2: it belongs to no table"),
        (document(TABLE, USED | {"recent": "-1"}), "line 3: recent is no history"),
        (document(TABLE, USED | {"recent": ""}), "line 3: recent is no history"),
        (document(TABLE, USED | {"recent": "f" * 901}), "line 3: recent is no history"),
        (document(TABLE, USED | {"ahead": 5}), "line 3: ahead is no list of times"),
        (document(TABLE, USED | {"ahead": [1] * 7201}), "line 3: ahead is no list of times"),
        (document(TABLE, USED | {"ahead": [-1]}), "line 3: ahead is no number"),
        (document({"table": 5, "signed": False}), "line 2: table is no text"),
        (document({"table": ""}), "line 2: signed is neither"),
        (document(TABLE, {"address": "/a"}), "line 3: key is no text"),
        (document(TABLE, NODE | {"key": ""}), "line 3: the key has 0 bytes"),
        (document(TABLE, NODE | {"key": "k" * 256}), "line 3: the key has 256 bytes"),
        (document(TABLE, NODE | {"key": "\ud800"}), "line 3: key is no text"),
        (document(TABLE, NODE | {"address": "a:b"}), "line 3: the address"),
        (document(TABLE, NODE | {"address": "/a\n"}), "line 3: the address"),
        (document(TABLE, NODE | {"weight": 0}), "line 3: weight 0"),
        (document(TABLE, NODE | {"weight": "1"}), "line 3: weight is no number"),
        (document(TABLE, NODE | {"weight": True}), "line 3: weight is no number"),
        (document(TABLE, NODE | {"weight": 1.5}), "line 3: weight is no number"),
        (document(TABLE, NODE | {"load": -1}), "line 3: load is no number"),
        (document(TABLE, NODE | {"proto": "ftp"}), "line 3: proto 'ftp'"),
        (document(TABLE, NODE | {"via": "x"}), "line 3: via is no list"),
        (document(TABLE, NODE | {"via": ["-"]}), "line 3: via does not name"),
        (document(TABLE, NODE | {"source": "home"}), "line 3: source 'home'"),
        (document(TABLE, NODE | {"uid": 1}), "line 3: pid is no number"),
        (document(TABLE, {"known": "", "since": 1}), "line 3: the key has 0 bytes"),
        (document(TABLE, {"known": "k"}), "line 3: since is no number"),
        (document(TABLE, {"signer": "k.pem"}), "line 3: floor is no number"),
        (document(TABLE, {"signer": 1, "floor": 1}), "line 3: signer is no text"),
        (
            document(TABLE, {"signer": "k.pem", "key": "k", "floor": 1}),
            "line 3: address is no text",
        ),
        (document(TABLE, {"known": "k", "since": 1, "owner": "me"}), "line 3: owner is no number"),
    ],
)
def test_anything_else_is_refused_whole(data: bytes, reason: str) -> None:
    with pytest.raises(StateError) as refused:
        parse(data)
    assert str(refused.value).startswith(reason) or reason in str(refused.value)


def test_a_key_that_an_earlier_version_took_and_no_request_can_have_is_left_out() -> None:
    node = {"key": "example.com", "address": ":1", "algo": "wrr"}
    upper = {"key": "Upper.Example.", "address": ":1", "algo": "wrr"}
    data = document(
        TABLE, {**node, "key": "example.com "}, node, upper, {"known": "a b", "since": 1}
    )
    (one,) = parse(data).tables
    assert [saved.subscription.key for saved in one.nodes] == [b"example.com", b"upper.example"]
    assert one.known == []


@given(st.binary(max_size=300), st.integers(0, 500))
def test_a_spoilt_file_never_does_more_than_to_be_refused(rubbish: bytes, place: int) -> None:
    table = Table()
    table.registry.apply(EVERYTHING, source="10.0.0.1", now=table.now)
    whole = saved(table)
    for data in (rubbish, whole[:place], whole[:place] + rubbish + whole[place + len(rubbish) :]):
        try:
            parse(data)
        except StateError:
            pass


@given(normal_keys(20), st.integers(1, 5), st.booleans())
def test_what_is_written_is_read(key: bytes, count: int, leaving: bool) -> None:
    table = Table()
    for number in range(count):
        table.announce(f"10.0.0.1:{number + 1}", key, weight=number + 1)
    if leaving:
        table.leave("10.0.0.1:1", key)
    one = read(table)
    found: Callable[[SavedNode], str] = lambda node: node.subscription.address  # noqa: E731
    assert list(map(found, one.nodes)) == table.names(key)
    assert [node.subscription.key for node in one.nodes] == [key] * len(one.nodes)
    assert (one.known != []) == (leaving and count == 1)

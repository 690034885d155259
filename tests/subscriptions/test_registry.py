"""The table: what announces, failures and time make of it."""

from collections import Counter
from typing import Any

import pytest

from tests.subscriptions.table import KEY, Table, words
from uwsgi_router.protocol.address import InetAddress, UnixAddress
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.refusal import Refused

T = 17.0
A, B, C = "10.0.0.1:3031", "10.0.0.2:3031", "10.0.0.3:3031"


def three(**options: Any) -> Table:
    table = Table(**options)
    for address in (A, B, C):
        table.announce(address)
    return table


# --- Announces ---


def test_the_first_announce_makes_pool_and_node() -> None:
    table = Table()
    assert words(table.announce(A)) == ["PoolAdded example.com", f"NodeAdded {A}"]
    assert words(table.announce(B)) == [f"NodeAdded {B}"]
    assert words(table.announce(A)) == [f"NodeRefreshed {A}"]
    assert table.names() == [A, B]
    assert len(table.registry) == 2
    assert not table.registry.empty


def test_an_announce_updates_everything_and_counters_survive() -> None:
    """uWSGI keeps the modifiers of the first announce for ever."""
    table = Table()
    table.announce(A, modifier1=5, weight=2)
    node = table.node(A)
    for _ in range(3):
        node.connect_started()
        node.connected()
    node.tx = 700
    table.now += 5
    table.announce(
        A, modifier1=0, modifier2=3, cores=4, load=9, weight=7, backup=1, vassal=b"a.ini"
    )
    assert table.node(A) is node
    assert (node.modifier1, node.modifier2, node.cores, node.load) == (0, 3, 4, 9)
    assert (node.weight, node.backup, node.vassal) == (7, 1, b"a.ini")
    assert (node.requests, node.last_requests, node.tx) == (3, 0, 700)
    assert node.last_seen == table.now


def test_an_algorithm_that_we_do_not_have_gives_the_configured_one() -> None:
    table = Table(algorithm="lrc")
    table.announce(A, key=b"a", algo="wlrc")
    table.announce(A, key=b"b", algo="bogus")
    table.announce(A, key=b"c")
    table.announce(A, key=b"c", algo="iphash")  # only the first announce of a key has a say
    assert [pool.algorithm for pool in table.registry.pools.values()] == ["wlrc", "lrc", "lrc"]


@pytest.mark.parametrize("announced", [":3031", "0.0.0.0:3031", "[::]:3031"])
def test_a_node_that_listens_on_every_interface_is_where_it_sends_from(announced: str) -> None:
    table = Table()
    table.announce(announced, source="10.0.0.7")
    table.announce(announced, source="fd00::7")
    table.announce(announced, source=None)
    assert table.names() == ["10.0.0.7:3031", "[fd00::7]:3031", "127.0.0.1:3031"]
    assert table.node("[fd00::7]:3031").address == InetAddress("fd00::7", 3031)
    assert words(table.announce(":3031", source="10.0.0.7")) == ["NodeRefreshed 10.0.0.7:3031"]
    table.leave(announced, source="10.0.0.7")
    assert table.names() == ["[fd00::7]:3031", "127.0.0.1:3031"]


def test_names_are_as_announced() -> None:
    table = Table()
    for address in ("@abs", "\0other", "run/a.sock", "app:8000", "[fd00::1]:1"):
        table.announce(address)
    assert table.names() == ["@abs", "@other", "run/a.sock", "app:8000", "[fd00::1]:1"]
    assert table.node("@other").address == UnixAddress(b"\0other\0")


def test_a_node_that_no_router_can_speak_to_is_refused() -> None:
    table = Table(protocols=frozenset({"uwsgi"}))
    with pytest.raises(Refused, match=r"speaks http; the routers here speak uwsgi"):
        table.announce(A, proto="http")
    assert table.registry.empty
    both = Table(protocols=frozenset({"uwsgi", "http"}))
    both.announce(A, proto="http")
    assert both.node(A).proto == "http"


# --- Caps ---


def test_a_full_table_refuses_newcomers_and_keeps_its_own() -> None:
    table = Table(max_keys=2, max_nodes_per_key=2)
    table.announce(A, key=b"a")
    table.announce(B, key=b"a")
    table.announce(A, key=b"b")
    with pytest.raises(Refused, match="holds 2 keys"):
        table.announce(A, key=b"c")
    with pytest.raises(Refused, match="holds 2 nodes"):
        table.announce(C, key=b"a")
    for address, key in ((A, b"a"), (B, b"a"), (A, b"b")):
        assert words(table.announce(address, key=key)) == [f"NodeRefreshed {address}"]
    table.leave(A, key=b"b")
    table.announce(A, key=b"c")
    assert list(table.registry.pools) == [b"a", b"c"]


def test_the_table_as_a_whole_has_a_cap() -> None:
    table = Table(max_nodes=3)
    for address, key in ((A, b"a"), (B, b"a"), (A, b"b")):
        table.announce(address, key=key)
    with pytest.raises(Refused, match="table holds 3 nodes"):
        table.announce(C, key=b"c")
    assert b"c" not in table.registry.pools
    assert len(table.registry) == 3


def test_a_key_that_is_expected_no_more_is_unknown_as_soon_as_its_nodes_are_drained() -> None:
    table = Table(expected=[b"new.example"])
    registry = table.registry
    gone, left = b"gone.example", b"left.example"
    table.announce(A, key=gone)
    table.announce(B, key=left)
    table.leave(B, key=left)
    registry.give_up([b"new.example", gone, left])
    known = [registry.is_known(key, table.now) for key in (b"new.example", gone, left)]
    assert known == [True, True, False]
    assert registry.once_expected() == [gone, b"new.example"]
    registry.drain(table.node(A, gone))
    assert not registry.is_known(gone, table.now)
    table.leave(A, key=gone)
    registry.remember(gone, table.now, None)
    assert not registry.is_known(gone, table.now)
    assert registry.once_expected() == [b"new.example"]
    table.announce(A, key=gone)
    table.leave(A, key=gone)
    assert registry.is_known(gone, table.now), "it is a key like any other again"


def test_what_is_remembered_of_keys_that_left_is_bounded() -> None:
    table = Table(max_keys=5)
    for i in range(50):
        key = b"key-%d" % i
        table.announce(A, key=key)
        table.fail(A, key=key, timed_out=True)
    known = [i for i in range(50) if table.registry.is_known(b"key-%d" % i, table.now)]
    assert known == [45, 46, 47, 48, 49]


# --- Leaving ---


def test_an_idle_node_leaves_at_once_and_takes_its_pool_along() -> None:
    table = Table()
    table.announce(A)
    table.announce(B)
    assert words(table.leave(A)) == [f"NodeFailed {A} unsubscribe", f"NodeRemoved {A}"]
    assert words(table.leave(B)) == [
        f"NodeFailed {B} unsubscribe",
        f"NodeRemoved {B}",
        "PoolRemoved example.com",
    ]
    assert table.registry.empty
    assert table.choose() is None


def test_who_is_not_there_can_leave_quietly() -> None:
    table = Table()
    assert table.leave(A) == []
    table.announce(A)
    assert table.leave(B) == []
    assert table.leave(A, key=b"other") == []
    assert table.names() == [A]


def test_a_busy_node_stays_dead_until_its_exchanges_end() -> None:
    table = Table()
    table.announce(A)
    node = table.node(A)
    node.reference = 2
    assert words(table.leave(A)) == [f"NodeFailed {A} unsubscribe"]
    assert words(table.leave(A)) == []
    assert table.choose() is None
    assert table.registry.empty
    assert node.death_mark
    assert table.release(node) == []
    assert words(table.release(node)) == [f"NodeRemoved {A}", "PoolRemoved example.com"]
    assert table.release(node) == []


def test_an_announce_revives_a_dead_node_with_its_counters() -> None:
    table = Table()
    table.announce(A)
    node = table.node(A)
    node.reference, node.requests = 1, 9
    table.leave(A)
    events = table.announce(A)
    assert words(events) == [f"NodeRefreshed {A} revived"]
    assert table.choose() == A
    assert (node.requests, node.failcnt, node.death_mark) == (9, 1, False)
    assert table.release(node) == []
    assert table.names() == [A]


# --- Connects that fail ---


def test_a_refused_connect_removes_the_node() -> None:
    table = three()
    assert words(table.fail(A)) == [f"NodeFailed {A} connect", f"NodeRemoved {A}"]
    assert set(table.choices(4)) == {B, C}


def test_of_many_connects_that_fail_at_once_only_the_first_is_news() -> None:
    table = Table()
    table.announce(A)
    node = table.node(A)
    node.reference = 2
    node.connect_started()
    node.connect_started()
    first = table.registry.connect_failed(node, table.now, timed_out=False)
    second = table.registry.connect_failed(node, table.now, timed_out=False)
    assert (words(first), words(second)) == ([f"NodeFailed {A} connect"], [])
    assert node.failcnt == 2
    table.release(node)
    assert words(table.release(node))[0] == f"NodeRemoved {A}"


def test_a_late_failure_does_not_touch_the_node_that_took_the_name() -> None:
    table = Table()
    table.announce(A)
    old = table.node(A)
    old.connect_started()
    table.leave(A)
    table.announce(A)
    table.registry.connect_failed(old, table.now, timed_out=False)
    assert table.choose() == A
    assert table.node(A) is not old


def test_a_node_unanswered_for_a_second_is_chosen_last() -> None:
    table = three()
    node = table.node(A)
    node.connect_started()
    node.connect_slow()
    assert set(table.choices(6)) == {B, C}
    assert table.choose(table.node(B), table.node(C)) == A
    node.connected()
    assert set(table.choices(6)) == {A, B, C}


def test_a_black_hole_that_keeps_announcing_itself_gets_one_trial_an_announce() -> None:
    table = three()
    table.fail(A, timed_out=True)
    for _ in range(3):
        table.now += 10
        assert words(table.announce(A)) == [f"NodeAdded {A}"]
        waiting = 0
        for _ in range(50):
            if table.choose() == A:
                waiting += 1
                table.node(A).connect_started()
        assert waiting == 1
        table.registry.connect_failed(table.node(A), table.now, timed_out=True)
    table.now += 10
    table.announce(A)
    table.node(A).connect_started()
    table.node(A).connected()
    assert Counter(table.choices(30)) == {A: 10, B: 10, C: 10}


def test_suspicion_ends_after_an_hour() -> None:
    table = Table()
    table.announce(A)
    table.fail(A, timed_out=True)
    table.now += 3601
    table.sweep()
    table.announce(A)
    assert not table.node(A).suspect


# --- Silence ---


def test_expiry_needs_no_request() -> None:
    table = three()
    table.now += 10
    table.announce(A)
    table.now += 7.5
    assert words(table.sweep()) == [f"NodeFailed {B} stale", f"NodeFailed {C} stale"]
    assert table.sweep() == []
    assert table.node(B).death_mark
    assert set(table.choices(4)) == {A}


def test_exactly_the_tolerance_is_in_time() -> None:
    table = three()
    table.now += T
    assert table.sweep() == []


def test_a_silent_node_is_the_last_resort_for_three_tolerances() -> None:
    table = three()
    table.now += 4 * T
    assert len(table.sweep()) == 3
    assert set(table.choices(6)) == {A, B, C}
    assert len(table.registry) == 3
    table.now += 0.1
    assert words(table.sweep()) == [
        *(f"NodeRemoved {name}" for name in (A, B, C)),
        "PoolRemoved example.com",
    ]
    assert table.registry.empty


def test_a_silent_node_is_no_resort_while_a_sibling_lives_be_it_slow_or_a_backup() -> None:
    table = Table()
    table.announce(A)
    table.now += T + 1
    table.sweep()
    table.announce(B, backup=3)
    node = table.node(B)
    node.connect_started()
    node.connect_slow()
    assert set(table.choices(3)) == {B}
    assert table.choose(node) == A


def test_a_silent_node_is_given_up_when_a_connect_fails() -> None:
    table = Table()
    table.announce(A)
    table.now += T + 1
    table.sweep()
    assert table.choose() == A
    assert words(table.fail(A)) == [
        f"NodeFailed {A} connect",
        f"NodeRemoved {A}",
        "PoolRemoved example.com",
    ]


def test_a_silent_node_that_announces_itself_is_back() -> None:
    table = three()
    table.now += T + 1
    table.sweep()
    assert words(table.announce(B)) == [f"NodeRefreshed {B} revived"]
    assert set(table.choices(3)) == {B}
    assert not table.node(B).stale


def test_a_silent_node_in_use_is_removed_when_its_exchanges_end() -> None:
    table = Table()
    table.announce(A)
    node = table.node(A)
    node.reference = 1
    table.now += T + 1
    table.sweep()
    table.now += 3 * T
    assert table.sweep() == []
    assert table.choose() is None
    assert words(table.release(node))[0] == f"NodeRemoved {A}"


# --- Choosing ---


def test_thirty_requests_over_three_nodes() -> None:
    assert Counter(three().choices(30)) == {A: 10, B: 10, C: 10}


def test_announces_do_not_disturb_the_round() -> None:
    """uWSGI's counters are reset by each announce, and the announcer gets a burst."""
    table = three()
    counts: Counter[str | None] = Counter()
    for i in range(300):
        table.announce((A, B, C)[i % 3])
        counts[table.choose()] += 1
    assert counts == {A: 100, B: 100, C: 100}


def test_each_live_node_is_tried_once() -> None:
    table = three()
    tried: list[SubscribedNode] = []
    while (name := table.choose(*tried)) is not None:
        tried.append(table.node(name))
    assert sorted(node.name for node in tried) == [A, B, C]


def test_backups_serve_only_while_there_is_nobody_better() -> None:
    table = Table()
    table.announce(A, backup=0)
    table.announce(B, backup=2)
    table.announce(C, backup=1)
    assert set(table.choices(4)) == {A}
    table.leave(A)
    assert set(table.choices(4)) == {C}
    table.announce(A)
    assert set(table.choices(4)) == {A}
    assert table.choose(table.node(A), table.node(C)) == B


def test_hits_count_look_ups_and_further_attempts() -> None:
    table = three()
    table.choices(3)
    table.choose(table.node(A))
    table.registry.find(KEY)
    table.registry.find(b"other")
    assert table.registry.pools[KEY].hits == 5


def test_dotsplit() -> None:
    table = Table(dotsplit=True)
    table.announce(A, key=b".example.com")
    table.announce(B, key=b"www.example.com")
    assert table.choose(key=b"a.b.c.d.e.f.example.com") == A
    assert table.choose(key=b"www.example.com") == B
    assert table.choose(key=b"example.com") is None
    assert table.choose(table.node(B, b"www.example.com"), key=b"www.example.com") == A
    assert table.registry.has_nodes(b"x.example.com")
    assert Table().choose(key=b"x.example.com") is None


def test_mountpoints_fall_back_to_the_bare_name_only_when_looked_up() -> None:
    """uWSGI's later branch falls back on registration too, and so mixes up applications."""
    table = Table(mountpoints=1)
    table.announce(A, key=b"example.com")
    table.announce(B, key=b"example.com/shop")
    assert table.names(b"example.com") == [A]
    assert table.choose(key=b"example.com/shop") == B
    assert table.choose(key=b"example.com/blog") == A
    assert Table().choose(key=b"example.com/blog") is None


def test_a_key_that_no_node_can_have_is_not_looked_for() -> None:
    table = Table(dotsplit=True)
    table.announce(A, key=b".com")
    assert table.choose(key=b"x" * 252 + b".com") is None


# --- Known keys ---


def test_everything_is_known_while_the_table_fills() -> None:
    registry = Table().registry
    assert registry.is_known(b"x", T - 0.1)
    assert not registry.is_known(b"x", T)
    assert not registry.was_announced(b"x", 0.0)


def test_a_key_stays_known_for_an_hour_after_its_last_node() -> None:
    table = Table(dotsplit=True)
    table.announce(A, key=b".example.com")
    assert table.registry.is_known(b"www.example.com", table.now)
    table.leave(A, key=b".example.com")
    assert table.registry.is_known(b".example.com", table.now + 3600)
    assert table.registry.is_known(b"www.example.com", table.now + 3600)
    assert table.registry.was_announced(b"www.example.com", table.now + 3600)
    assert not table.registry.is_known(b"www.example.com", table.now + 3601)
    assert not table.registry.is_known(b"example.org", table.now)
    assert not table.registry.has_nodes(b"www.example.com")


# --- Seen from outside ---


def test_reprs_are_one_line() -> None:
    table = three()
    table.choose()
    table.leave(C)
    table.node(A).reference = 1
    table.leave(A)
    assert repr(table.registry) == "<Registry keys=1 nodes=2 usable=1>"
    assert repr(table.registry.pools[KEY]) == (
        f"<NodePool b'example.com' wrr hits=1 nodes=[{A}, {B}]>"
    )
    assert repr(table.node(A)) == f"<SubscribedNode {A} ref=1 requests=0 failcnt=1 gone>"
    table.now += T + 1
    table.sweep()
    assert repr(table.node(B)) == f"<SubscribedNode {B} ref=0 requests=0 failcnt=1 stale>"


def test_the_table_can_be_looked_at_but_not_changed() -> None:
    pools: Any = three().registry.pools
    with pytest.raises(TypeError):
        pools[b"x"] = None


@pytest.mark.parametrize("algorithm", ["wrr", "lrc", "wlrc", "iphash"])
def test_asking_whether_a_node_is_left_changes_nothing(algorithm: str) -> None:
    table = Table(algorithm=algorithm)
    for name in ("10.0.0.1:1", "10.0.0.2:1"):
        table.announce(name, weight=2)
    registry, pool = table.registry, table.registry.pools[KEY]
    first, second = pool.nodes
    before = (pool.hits, first.wrr, second.wrr)
    assert registry.has_untried(KEY, ())
    assert registry.has_untried(KEY, (first,))
    assert not registry.has_untried(KEY, (first, second))
    assert not registry.has_untried(b"other", ())
    registry.drain(second)
    assert not registry.has_untried(KEY, (first,))
    assert (pool.hits, first.wrr, second.wrr) == before


def test_a_node_of_a_key_that_answers_for_it_is_left_too() -> None:
    table = Table(dotsplit=True)
    table.announce("10.0.0.1:1", b".example.com")
    assert table.registry.has_untried(b"www.example.com", ())

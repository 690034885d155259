"""Statistics as values: uWSGI's, ours, and what is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.rollout.views import (
    NodePlace,
    StrangeStats,
    Throttling,
    emperor_view,
    router_view,
)

VASSAL = {
    "id": "one.ini",
    "pid": 11913,
    "last_mod": 1795231330,
    "loyal": 0,
    "ready": 0,
    "accepting": 1,
    "cursed": 0,
    "zerg": 0,
    "on_demand": "",
    "respawns": 1,
}
NODE = {
    "name": "/run/one.sock",
    "modifier1": 5,
    "modifier2": 1,
    "last_check": 1795231333,
    "pid": 11913,
    "ref": 2,
    "failcnt": 3,
    "death_mark": 0,
}


def test_an_emperor_of_uwsgi() -> None:
    asleep = {**VASSAL, "id": "two.ini", "pid": -1, "accepting": 0, "on_demand": "/run/two.sock"}
    view = emperor_view(
        {
            "version": "2.0.31",
            "pid": 7,
            "emperor": ["/etc/vassals"],
            "vassals": [VASSAL, asleep, {**VASSAL, "id": "x:zerg", "zerg": 1, "cursed": 5}],
            "blacklist": [
                {"id": "bad.ini", "throttle_level": 1001, "attempt": 2, "last_attempt": 9}
            ],
        }
    )
    assert (view.pid, view.version, view.monitors) == (7, "2.0.31", ("/etc/vassals",))
    one = view.vassals["one.ini"]
    assert (one.pid, one.last_mod, one.accepting, one.cursed) == (11913, 1795231330, True, False)
    assert (one.asleep, view.vassals["two.ini"].asleep) == (False, True)
    assert (view.vassals["x:zerg"].zerg, view.vassals["x:zerg"].cursed) == (True, True)
    assert view.throttled == {"bad.ini": Throttling(2, 9, 1.001)}


def test_our_emperor_tells_how_a_vassal_ended() -> None:
    told = {"last_end": "exit code 1", "last_end_at": 5, "last_lines": ["Error", 7]}
    one = emperor_view({"vassals": [{**VASSAL, **told}]}).vassals["one.ini"]
    assert (one.last_end, one.last_end_at, one.lines) == ("exit code 1", 5, ("Error",))


def test_routers() -> None:
    document = {
        "version": "2.0.31",
        "pid": 9,
        "fastrouter": ["127.0.0.1:1", "/run/subscriptions"],
        "subscriptions": [
            {"key": "a", "nodes": [NODE]},
            {"key": "b", "nodes": [{**NODE, "death_mark": 1}]},
        ],
    }
    view = router_view("/run/stats", document)
    first, second = view.nodes
    assert first.place == NodePlace("/run/stats", "a", "/run/one.sock")
    assert (first.running, first.failures, first.pid, first.modifiers) == (2, 3, 11913, (5, 1))
    assert (first.serving, second.serving) == (True, False)
    assert (view.ours, view.pid) == (False, 9)
    assert view.gateways == ("127.0.0.1:1", "/run/subscriptions")
    ours = {
        **NODE,
        "drained": 1,
        "proto": "h",
        "vassal": "one",
        "unhealthy": 1,
        "check": "no answer",
    }
    document = {"version": "uwsgi-router 0", "subscriptions": [{"key": "a", "nodes": [ours]}]}
    view = router_view("/run/stats", document)
    (node,) = view.nodes
    assert view.ours
    assert (node.drained, node.http, node.vassal, node.unhealthy) == (
        True,
        True,
        "one",
        "no answer",
    )
    assert not node.serving


def test_statistics_of_something_else() -> None:
    with pytest.raises(StrangeStats, match="no list of vassals"):
        emperor_view({"workers": []})
    with pytest.raises(StrangeStats, match="no list of subscriptions"):
        router_view("/run/stats", {"fastrouter": []})


ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(NODE)), inner),
    max_leaves=8,
)


@given(ANYTHING, ANYTHING)
def test_values_of_any_kind_do_no_harm(one: object, other: object) -> None:
    view = emperor_view({"vassals": [one, {"id": other, "pid": one}], "blacklist": other})
    assert len(view.vassals) <= 2
    router_view(
        "x", {"subscriptions": [one, {"key": other, "nodes": [{"name": one, "ref": other}]}]}
    )

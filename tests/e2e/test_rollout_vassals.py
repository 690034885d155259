"""Rollouts of real uWSGI vassals, under uWSGI's own Emperor, behind our fastrouter: no request is lost."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rolled import OurSite
from tests.lab import programs
from tests.lab.commands import OtherRouter
from tests.lab.place import Place, temporary
from tests.lab.processes import run
from tests.lab.waiting import wait_until

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(programs.ROUTER_UNDER_TEST == "uwsgi", reason="it has no control socket"),
]


@pytest.fixture(scope="module")
def pair() -> Iterator[OurSite]:
    """Two that start without an application, too: then they answer 500. The router has two workers."""
    with temporary() as place:
        yield OurSite(place, workers=2, names=("one", "two"), options=("need-app = false",))


def test_a_build_that_answers_500_gets_no_request(pair: OurSite) -> None:
    """Without need-app uWSGI accepts, and announces itself; it stays out of service until it is well."""
    load = pair.load()
    pair.deploy("")
    code, output, errors = pair.roll()
    load.wait_for(50)
    assert code == 1
    assert (
        output == f"one: failed: {pair.directory}/one.sock answers GET / for example.com with 500\n"
    )
    assert f"{pair.directory}/one.sock stays out of service until the next rollout" in errors
    assert pair.states() == {"one": "drained", "two": "ready"}
    pair.deploy("2")
    code, output, errors = pair.roll()
    load.wait_for(50)
    load.stop()
    assert (code, output, errors) == (0, "one: reloaded\ntwo: reloaded\n", "")
    assert load.lost() == {}
    assert pair.states() == {"one": "ready", "two": "ready"}
    assert pair.generations() == {"2"}


def test_what_an_operator_has_drained_stays_so(pair: OurSite) -> None:
    node = f"{pair.directory}/one.sock"
    drain = (programs.uwsgi_router(), "drain", node, "--control", pair.control)
    run(*drain, check=True)
    before = pair.emperor.vassals()["one.ini"]["respawns"]
    code, output, errors = pair.roll("--vassal", "one")
    assert (code, output, errors) == (0, "one: reloaded\n", "")
    assert pair.emperor.vassals()["one.ini"]["respawns"] == before + 1
    assert pair.states()["one"] == "drained"
    run(programs.uwsgi_router(), "enable", node, "--control", pair.control, check=True)


def test_a_request_that_does_not_end_keeps_its_vassal_from_the_reload(pair: OurSite) -> None:
    before = pair.emperor.vassals()
    with pair.holding(pair.nginx.port) as statuses:
        (busy,) = [node["name"] for node in pair.router.nodes().values() if node["ref"]]
        name = Path(busy).stem
        code, output, _ = pair.roll("--drain", "0.3", "--vassal", name)
        assert code == 1
        assert output == f"{name}: failed: {busy} still has 1 requests after 0.3 s\n"
        assert pair.states() == {"one": "ready", "two": "ready"}
        assert pair.emperor.vassals() == before
    assert statuses == [200]


def test_one_rollout_at_a_time_and_an_interrupt_finishes_the_current_vassal(pair: OurSite) -> None:
    rolling = pair.rolling("--control", pair.control, "--json")
    rolling.wait_for_output('"reloading"')
    code, output, errors = pair.roll()
    assert (code, output) == (1, "")
    assert errors == f"uwsgi-router rollout: another rollout of {pair.emperor.path} runs\n"
    rolling.signal(signal.SIGINT)
    assert rolling.wait() == 1
    *_, end = map(json.loads, rolling.output().splitlines())
    assert (end["event"], end["ok"], end["reason"]) == ("end", False, "interrupted before two")
    assert end["steps"] == {"one": "reloaded", "two": "untouched"}
    assert pair.states() == {"one": "ready", "two": "ready"}


def test_kill_9_leaves_no_vassal_out_of_service(pair: OurSite) -> None:
    rolling = pair.rolling("--control", pair.control, "--json")
    rolling.wait_for_output('"reloading"')
    assert pair.states().get("one") != "ready"
    os.kill(rolling.pid, signal.SIGKILL)
    rolling.wait()
    wait_until(lambda: pair.states() == {"one": "ready", "two": "ready"}, "both serve")
    # And the lock is free.
    assert pair.roll("--vassal", "two")[0] == 0


def test_a_dry_run_says_what_would_be_done(pair: OurSite) -> None:
    before = pair.emperor.vassals()
    code, output, errors = pair.roll("--dry-run")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[1].endswith(f"nodes are withdrawn and drained over {pair.control}")
    assert lines[2] == (
        f"1. one: {pair.directory}/one.sock (example.com): drain;"
        f" touch {pair.emperor.path}/one.ini; GET /; return"
    )
    assert "example.com at" in lines[4]
    assert lines[4].endswith("2 nodes serve, never fewer than 1")
    code, output, errors = pair.roll("--minimum-active-vassals", "2")
    assert (code, output) == (1, "")
    assert "1 other nodes of example.com would be in service, and there have to be 2" in errors
    code, output, errors = pair.roll("--vassal", "three")
    assert (code, "no vassal of" in errors) == (1, True)
    assert pair.emperor.vassals() == before


def test_each_router_has_to_know_a_vassal_again(lab: Place) -> None:
    """Ours withdraws it; it unsubscribes itself from uWSGI's."""
    other = lab.other_router()
    subscribed = f"subscribe2 = server={other.announce},key=other.example"
    site = OurSite(lab, names=("one", "two"), options=(subscribed,))
    more = ("--fastrouter-stats-socket", other.stats_address)
    code, output, errors = site.roll(*more, "--dry-run")
    assert (code, errors) == (0, "")
    assert output.splitlines()[2].endswith(
        "only what the vassals' unsubscribe-on-graceful-reload does (--fifo PATTERN does more)"
    )
    assert f"one: {site.directory}/one.sock (example.com), " in output
    before = {node["last_check"] for node in pool_of(other)}
    code, output, errors = site.roll(*more)
    assert (code, output, errors) == (0, "one: reloaded\ntwo: reloaded\n", "")
    after = pool_of(other)
    assert len(after) == 2
    assert min(node["last_check"] for node in after) >= max(before)
    assert site.states() == {"one": "ready", "two": "ready"}


def pool_of(router: OtherRouter) -> list[dict[str, Any]]:
    """The nodes of the router's only pool."""
    (pool,) = router.stats()["subscriptions"]
    assert pool["key"] == "other.example"
    nodes: list[dict[str, Any]] = pool["nodes"]
    return nodes

"""Counters as a flat mapping: none is forgotten."""

from uwsgi_router.router.app.feeding.counts import COUNTED, LEVELS, add, counted
from uwsgi_router.router.report.counters import Counters


def test_every_counter_is_added_up_or_shown_as_a_level() -> None:
    by_word = {"clients", "failed", "refused_connections", "handshakes", "handshakes_failed"}
    derived = {"bytes_received", "bytes_sent", "elsewhere", "running"}
    # A compiled class has no __slots__.
    found = {name for name in dir(Counters) if not name.startswith("_")}
    assert {*COUNTED, *LEVELS} == found - by_word - derived


def test_what_one_has_counted_another_adds() -> None:
    one = Counters()
    for number, name in enumerate(COUNTED, 1):
        setattr(one, name, number)
    one.failed["busy"] = 3
    one.refused_connections["max-connections"] = 4
    one.handshakes["TLSv1.3"] = 7
    one.handshakes_failed["not-tls"] = 8
    one.clients.tx, one.clients.rx = 5, 6
    total = Counters()
    total.requests = 100
    add(total, counted(one))
    add(total, counted(one))
    assert total.requests == 102
    assert total.accept_errors == 2 * (COUNTED.index("accept_errors") + 1)
    assert (total.failed, total.refused_connections) == ({"busy": 6}, {"max-connections": 8})
    assert (total.handshakes, total.handshakes_failed) == ({"TLSv1.3": 14}, {"not-tls": 16})
    assert (total.bytes_received, total.bytes_sent) == (10, 12)


def test_what_runs_elsewhere_does_not_run_here() -> None:
    here, there = Counters(), Counters()
    here.requests, here.completed = 10, 8
    there.requests, there.completed, there.client_aborts = 7, 2, 1
    there.failed["busy"] = 1
    add(here, counted(there))
    assert (here.requests, here.running) == (17, 2)
    add(here, {"completed": 3})
    assert (here.completed, here.running) == (13, 2)


def test_names_of_another_version_are_passed_over() -> None:
    total = Counters()
    add(total, {"dreams": 3, "requests": 1, "__class__": 1})
    assert total.requests == 1

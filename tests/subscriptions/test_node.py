"""How nodes take connections, and what follows."""

from tests.compiled import PLAIN_ONLY
from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.subscriptions.node import Node

pytestmark = PLAIN_ONLY


class Watched(Node):
    """Counts how often it says that its rank changed."""

    changes = 0

    def rank_changed(self) -> None:
        self.changes += 1


def slow(node: Node) -> bool:
    """Ask anew: a type checker takes a property for something that stays."""
    return node.connecting_slowly


def make() -> Watched:
    return Watched("app:3031", InetAddress("app", 3031))


def test_a_healthy_node_takes_any_number_of_connects_at_once() -> None:
    node = make()
    for _ in range(3):
        node.connect_started()
    assert (node.connecting, node.connecting_slowly) == (3, False)
    for _ in range(3):
        node.connected()
    assert (node.connecting, node.requests, node.changes) == (0, 3, 0)


def test_unanswered_for_a_second_it_is_chosen_last_until_it_answers() -> None:
    node = make()
    node.connect_started()
    node.connect_slow()
    assert slow(node)
    node.connect_started()
    node.connected()
    assert not slow(node)


def test_after_a_timeout_one_trial_at_a_time() -> None:
    node = make()
    node.connect_started()
    node.connect_failed(timed_out=True)
    assert (node.suspect, slow(node)) == (True, False)
    node.connect_started()
    assert slow(node)
    node.connect_failed(timed_out=True)
    assert not slow(node)
    node.connect_started()
    node.connected()
    node.connect_started()
    assert not slow(node)
    assert node.failcnt == 2


def test_a_refusal_is_no_reason_for_suspicion_but_ends_none_either() -> None:
    node = make()
    node.connect_started()
    node.connect_failed(timed_out=False)
    assert not node.suspect
    node.connect_started()
    node.connect_failed(timed_out=True)
    node.connect_started()
    node.connect_failed(timed_out=False)
    assert node.suspect


def test_no_route_to_host_after_three_seconds_is_suspicious() -> None:
    node = make()
    node.connect_started()
    node.connect_slow()
    node.connect_failed(timed_out=False)
    assert (node.suspect, node.slow) == (True, False)


def test_a_client_that_goes_away_does_not_clear_a_slow_node() -> None:
    node = make()
    node.connect_started()
    node.connect_started()
    node.connect_slow()
    node.connect_abandoned()
    assert slow(node)
    node.connect_abandoned()
    assert not slow(node)
    assert (node.suspect, node.failcnt) == (True, 0)


def test_a_client_that_goes_away_leaves_a_healthy_node_as_it_was() -> None:
    node = make()
    node.connect_started()
    node.connect_abandoned()
    assert (node.suspect, node.slow, node.connecting, node.changes) == (False, False, 0, 0)


def test_whoever_sorts_nodes_hears_of_every_change_of_standing() -> None:
    node = make()
    node.connect_started()
    for act in (
        node.connect_slow,
        node.connect_abandoned,
        node.connect_started,
        lambda: node.connect_failed(timed_out=True),
        node.connect_started,
        node.connected,
        node.connect_started,
    ):
        before, changes = node.connecting_slowly, node.changes
        act()
        assert node.connecting_slowly == before or node.changes > changes


def test_repr_is_one_line() -> None:
    node = make()
    node.connect_started()
    node.connect_slow()
    node.reference = 2
    assert repr(node) == "<Watched app:3031 ref=2 requests=0 failcnt=0 connecting slow>"

"""Which node a request tries next, as bookkeeping alone."""

from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest
from uwsgi_router.router.proxy.attempts import Attempts, RoutingPolicy
from uwsgi_router.router.routing.fixed import FixedForwarder
from uwsgi_router.router.routing.static import StaticForwarder
from uwsgi_router.subscriptions.node import Node

REQUEST = UwsgiRequest(
    key=b"a",
    key_is_host=True,
    method=b"GET",
    content_length=0,
    client=b"",
    path=b"",
    packet=b"",
    rest=b"",
)


def attempts(
    nodes: list[str],
    fallbacks: list[str] | None = None,
    *,
    max_retries: int | None = None,
    on_no_key: bool = False,
) -> Attempts:
    policy = RoutingPolicy(
        StaticForwarder([f"{name}.sock" for name in nodes], 30, last_resort=not fallbacks),
        FixedForwarder([f"{name}.sock" for name in fallbacks or []]),
        max_retries=max_retries,
        fallback_on_no_key=on_no_key,
    )
    return Attempts(REQUEST, policy, policy.forwarder)


def chosen(attempts: Attempts) -> str | None:
    node = attempts.next(0.0)
    assert node is None or isinstance(node, Node)
    return None if node is None else node.name.removesuffix(".sock")


def fail(attempts: Attempts, *, timed_out: bool = False) -> str | None:
    """The next node fails; returns which."""
    node = attempts.next(0.0)
    assert node is None or isinstance(node, Node)
    if node is None:
        return None
    attempts.failed(node, "refused", timed_out=timed_out)
    return node.name.removesuffix(".sock")


def all_failing(attempts: Attempts) -> str:
    names = ""
    while name := fail(attempts):
        names += name
    return names


def test_each_node_once_then_each_fallback_once_in_order() -> None:
    assert all_failing(attempts(["a", "b", "c"])) == "abc"
    assert all_failing(attempts(["a", "b"], ["x", "y", "z"])) == "abxyz"


def test_max_retries_bounds_the_nodes_not_the_fallbacks() -> None:
    assert all_failing(attempts(["a", "b", "c"], max_retries=0)) == "a"
    assert all_failing(attempts(["a", "b", "c"], ["x", "y"], max_retries=1)) == "abxy"
    assert all_failing(attempts(["a", "b"], ["x", "y"], max_retries=9)) == "abxy"


def test_a_request_that_no_node_serves_goes_to_a_fallback_only_if_told_to() -> None:
    assert all_failing(attempts([], ["x"])) == ""
    assert all_failing(attempts([], ["x"], on_no_key=True)) == "x"


def test_a_busy_node_comes_again_after_its_siblings_and_before_the_fallbacks() -> None:
    one = attempts(["a", "b"], ["x"])
    for name in "ab":
        node = one.next(0.0)
        assert isinstance(node, Node)
        assert node.name == f"{name}.sock"
        one.busy(node, "full")
    assert chosen(one) is None
    assert one.waits_for_busy
    one.again()
    assert chosen(one) == "a"


def test_a_node_that_was_busy_too_long_counts_as_failed() -> None:
    one = attempts(["a"], ["x"])
    node = one.next(0.0)
    assert isinstance(node, Node)
    one.busy(node, "full")
    one.give_up_busy()
    assert one.only_busy
    assert not one.waits_for_busy
    assert (one.made, one.last_error, one.last_node) == (1, "full", "a.sock")
    assert chosen(one) == "x"


def test_one_that_is_down_and_one_that_is_busy_is_not_only_busy() -> None:
    one = attempts(["a", "b"])
    assert fail(one, timed_out=True) == "a"
    node = one.next(0.0)
    assert isinstance(node, Node)
    one.busy(node, "full")
    one.give_up_busy()
    assert not one.only_busy
    assert one.timed_out
    assert one.made == 2


def test_after_an_announce_everything_starts_anew() -> None:
    one = attempts(["a", "b"], max_retries=0)
    assert fail(one, timed_out=True) == "a"
    assert chosen(one) is None
    one.restart()
    assert (one.made, one.timed_out, one.only_busy) == (0, False, False)
    assert fail(one) == "b"

"""What other routers are told, and when."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.subscriptions.table import KEY, Table, words
from uwsgi_router.protocol.subscription import MAX_VIA, MAX_WEIGHT, Subscription
from uwsgi_router.subscriptions.adverts import Advert, Adverts, advert
from uwsgi_router.subscriptions.events import Event
from uwsgi_router.subscriptions.sni import Sni


class Router:
    """A table and what is told of it, with a clock in our hands."""

    def __init__(self, name: bytes = b"me") -> None:
        self.table = Table(router=name)
        self.adverts = Adverts(self.table.registry, name)
        self.name = name

    def hear(self, address: str, **fields: object) -> list[Event]:
        events = self.table.announce(address, source=None, **fields)  # type: ignore[arg-type]
        self.adverts.note(events)
        return events

    def leave(self, address: str) -> None:
        self.adverts.note(self.table.leave(address, source=None))

    def take(self, limit: int = 100) -> list[tuple[bytes, Advert | None]]:
        return self.adverts.take(self.table.now, limit)

    def ways(self) -> list[tuple[bytes, ...] | None]:
        return [None if one is None else one.via for _, one in self.take()]

    def wait(self, seconds: float) -> None:
        self.table.now += seconds
        self.adverts.note(self.table.sweep())


@pytest.fixture
def router() -> Router:
    return Router()


def test_a_key_is_told_when_it_has_a_node_and_once_an_interval(router: Router) -> None:
    router.hear("/a", modifier1=5, modifier2=6)
    assert router.take() == [(KEY, Advert(5, 6, 1, 1, (b"me",), None))]
    for _ in range(9):
        router.wait(1)
        router.hear("/a")
        assert router.take() == []
    assert router.adverts.due(router.table.now) == 1
    router.wait(1)
    assert [key for key, _ in router.take()] == [KEY]


def test_only_the_last_node_takes_the_key_with_it(router: Router) -> None:
    """uWSGI tells that the router is gone when one of its nodes goes."""
    router.hear("/a")
    router.hear("/b")
    router.take()
    router.leave("/a")
    assert router.take() == []
    router.leave("/b")
    assert router.take() == [(KEY, None)]
    router.wait(60)
    assert router.take() == []
    assert router.adverts.due(router.table.now) is None


def test_what_comes_and_goes_between_two_looks_is_not_told(router: Router) -> None:
    for _ in range(50):
        router.hear("/a")
        router.leave("/a")
    assert router.take() == []


def test_a_dead_node_that_is_still_in_use_counts_as_gone(router: Router) -> None:
    router.hear("/a")
    router.take()
    router.table.node("/a").reference = 1
    router.leave("/a")
    assert router.take() == [(KEY, None)]


def test_while_all_nodes_are_silent_nothing_is_said_and_then_it_is_withdrawn(
    router: Router,
) -> None:
    router.hear("/a")
    router.take()
    router.wait(10)
    assert len(router.take()) == 1
    for _ in range(50):
        router.wait(1)
        assert router.take() == []
    router.wait(9)
    assert router.take() == [(KEY, None)]


def test_a_node_that_comes_back_is_told_again(router: Router) -> None:
    router.hear("/a")
    router.take()
    router.adverts.note(router.table.fail("/a"))
    assert router.take() == [(KEY, None)]
    router.hear("/a")
    assert len(router.take()) == 1


def test_weights_are_added_up_and_the_level_is_one_more(router: Router) -> None:
    router.hear("/a", weight=3, backup=2)
    router.hear("/b", weight=4, backup=2)
    router.hear("/c", weight=100, backup=3)
    ((_, told),) = router.take()
    assert told is not None
    assert (told.weight, told.backup) == (7, 3)
    router.hear("/d", weight=MAX_WEIGHT, backup=2)
    told = advert(router.table.registry.pools[KEY], b"me")
    assert told is not None
    assert told.weight == MAX_WEIGHT


def test_the_certificate_is_told_too(router: Router) -> None:
    sni = Sni(b"/c/a.key", b"/c/a.crt")
    subscription = Subscription("subscribe", KEY, "/a")
    router.table.registry.apply(subscription, source=None, now=router.table.now, sni=sni)
    told = advert(router.table.registry.pools[KEY], b"me")
    assert told is not None
    assert told.sni == sni


def test_the_way_is_told_and_the_shortest_counts(router: Router) -> None:
    router.hear("/far", via=(b"x", b"y"))
    assert router.ways() == [(b"x", b"y", b"me")]
    router.wait(1)
    router.hear("/near", via=(b"z",))
    assert router.ways() == [(b"z", b"me")]
    router.wait(1)
    router.hear("/here")
    assert router.ways() == [(b"me",)]


def test_a_way_that_changes_often_is_told_once_a_second(router: Router) -> None:
    router.hear("/a", via=(b"x",))
    router.take()
    router.hear("/a", via=(b"y",))
    assert router.ways() == [(b"y", b"me")]
    for number in range(100):
        router.hear("/a", via=(b"x%d" % number,))
        router.wait(0.009)
        assert router.take() == []
    router.wait(0.2)
    assert router.ways() == [(b"x99", b"me")]


def test_too_long_a_way_ends_here(router: Router) -> None:
    router.hear("/a", via=tuple(b"%d" % number for number in range(MAX_VIA)))
    assert router.take() == []


def test_batches_lose_nothing(router: Router) -> None:
    keys = [b"k%d" % number for number in range(10)]
    for key in keys:
        router.hear("/a", key=key)
    told = [router.take(limit=4) for _ in range(4)]
    assert [len(batch) for batch in told] == [4, 4, 2, 0]
    router.wait(10)
    assert [key for _ in range(3) for key, _ in router.take(limit=4)] == keys


def test_keys_that_were_there_before_are_told(router: Router) -> None:
    router.hear("/a")
    adverts = Adverts(router.table.registry, b"me")
    assert len(adverts.take(router.table.now, 10)) == 1
    assert adverts.withdraw() == [KEY]
    assert adverts.take(router.table.now, 10) == []


def test_our_own_nodes_are_taken_from_nobody(router: Router) -> None:
    router.hear("/a")
    assert router.hear("/peer", via=(b"x", b"me")) == []
    assert router.table.names() == ["/a"]


def test_a_router_that_now_has_its_nodes_from_us_is_no_node_any_more(router: Router) -> None:
    router.hear("/peer", via=(b"x",))
    assert words(router.hear("/peer", via=(b"me", b"x")))[-1] == "PoolRemoved example.com"
    # A real node of the same name would have to leave by itself.
    router.hear("/peer")
    assert router.hear("/peer", via=(b"me",)) == []
    assert router.table.names() == ["/peer"]


class Net:
    """Routers that tell each other; datagrams are lost where the test says so."""

    def __init__(self, count: int, links: set[tuple[int, int]]) -> None:
        self.routers = [Router(b"r%d" % number) for number in range(count)]
        self.links = links
        self.sent = 0

    def step(self, lost: Callable[[], bool] = lambda: False) -> int:
        sent = 0
        for number, router in enumerate(self.routers):
            taken = router.take()
            for to in (to for from_, to in self.links if from_ == number):
                for key, one in taken:
                    sent += 1
                    if not lost():
                        self.deliver(f"/r{number}", self.routers[to], key, one)
        return sent

    @staticmethod
    def deliver(address: str, to: Router, key: bytes, one: Advert | None) -> None:
        if one is None:
            to.adverts.note(to.table.leave(address, key=key, source=None))
        else:
            to.hear(address, key=key, weight=one.weight, backup=one.backup, via=one.via)

    def wait(self, seconds: float) -> None:
        for router in self.routers:
            router.wait(seconds)

    def settle(self) -> int:
        """Let everything be told that is to be told now, and a second later."""
        total = 0
        for _ in range(20):
            while sent := self.step():
                total += sent
                assert total < 1000
            self.wait(1)
        return total

    def knowing(self) -> list[int]:
        return [n for n, router in enumerate(self.routers) if router.table.registry.pools]


PAIR = {(0, 1), (1, 0)}
RING = {(0, 1), (1, 2), (2, 0)}
MESH = {(a, b) for a in range(4) for b in range(4) if a != b}


@pytest.mark.parametrize(("count", "links"), [(2, PAIR), (3, RING), (4, MESH)])
def test_in_circles_nothing_is_told_but_the_refresh(
    count: int, links: set[tuple[int, int]]
) -> None:
    net = Net(count, links)
    net.routers[0].hear("/node")
    net.settle()
    assert net.knowing() == list(range(count))
    for _ in range(12):
        net.routers[0].hear("/node")
        sent = 0
        for _ in range(10):
            sent += net.step()
            net.wait(1)
        assert sent == len(links)


@pytest.mark.parametrize(("count", "links"), [(2, PAIR), (3, RING), (4, MESH)])
def test_in_circles_a_key_goes_when_its_node_goes(count: int, links: set[tuple[int, int]]) -> None:
    """Routers must not keep a key alive by telling each other."""
    net = Net(count, links)
    net.routers[0].hear("/node")
    net.settle()
    net.routers[0].leave("/node")
    net.settle()
    assert net.knowing() == []


@given(st.data())
def test_whatever_is_lost_and_wherever_nodes_are_it_settles(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 4))
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    net = Net(count, set(data.draw(st.lists(st.sampled_from(pairs), unique=True))))
    homes = data.draw(st.sets(st.integers(0, count - 1)))
    lost = data.draw(st.lists(st.booleans(), max_size=40))
    for home in homes:
        net.routers[home].hear(f"/node{home}")
    for _ in range(5):
        net.step(lambda: bool(lost) and lost.pop())
        net.wait(1)
    for home in homes:
        net.routers[home].leave(f"/node{home}")
    for _ in range(5):
        net.step(lambda: bool(lost) and lost.pop())
        net.wait(1)
    for _ in range(100):
        net.step()
        net.wait(1)
    assert net.knowing() == []

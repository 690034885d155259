"""Shares in a hold: bounded in number and bytes, and the key that has most makes room for others."""

from hypothesis import given
from hypothesis import strategies as st

from tests.compiled import PLAIN_ONLY
from tests.router.proxy.test_queue_room import Waiting
from uwsgi_router.router.proxy.hold import Hold

pytestmark = PLAIN_ONLY


class Held:
    """A hold, and what waits in it by its own account: key and bytes of each request."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.hold = Hold(most, most_bytes)
        self.waiting: dict[Waiting, int] = {}

    def enter(self, key: str, size: int) -> bool:
        """Let a request wait, and take those out that had to go."""
        newcomer = Waiting(key)
        entered = self.hold.enter(newcomer, size, frozenset({key.encode()}), key.encode())
        for gone in self.shed():
            assert not self.hold.leave(gone)
            del self.waiting[gone]
        if entered:
            self.waiting[newcomer] = size
        return entered

    def shed(self) -> list[Waiting]:
        return [one for one in self.waiting if one.notified]

    def count(self, key: str) -> int:
        return sum(one.group == key for one in self.waiting)

    def bytes_of(self, key: str) -> int:
        return sum(size for one, size in self.waiting.items() if one.group == key)


def test_a_key_with_few_waiting_requests_takes_the_place_of_the_last_ones_of_the_fullest() -> None:
    held = Held(10, 1000)
    assert all(held.enter("a", 1) for _ in range(10))
    first = next(iter(held.waiting))
    assert not held.enter("a", 1)
    assert [held.enter("b", 1) for _ in range(6)] == [True] * 5 + [False]
    assert (held.count("a"), held.count("b")) == (5, 5)
    assert first in held.waiting
    assert held.enter("c", 1)


def test_bytes_are_shared_likewise() -> None:
    held = Held(100, 1000)
    assert [held.enter("a", 300) for _ in range(4)] == [True, True, True, False]
    # Two of the three have to go; what is left is not less than what comes.
    assert held.enter("b", 250)
    assert (held.bytes_of("a"), held.bytes_of("b")) == (600, 250)
    assert not held.enter("b", 700)
    assert (held.bytes_of("a"), held.bytes_of("b")) == (600, 250)
    assert not held.enter("c", 1001)


def test_who_asks_for_more_than_the_fullest_has_gets_nothing_and_takes_nothing() -> None:
    held = Held(100, 1000)
    assert held.enter("a", 500)
    assert held.enter("b", 400)
    assert not held.enter("c", 600)
    assert (held.bytes_of("a"), held.bytes_of("b")) == (500, 400)


def test_a_hold_without_room_takes_nobody() -> None:
    assert not Held(0, 1000).enter("a", 1)
    assert not Held(10, 0).enter("a", 1)


@given(
    st.integers(1, 6),
    st.integers(1, 40),
    st.lists(st.tuples(st.sampled_from("abcx"), st.integers(1, 15)), max_size=60),
)
def test_limits_hold_and_nobody_goes_for_who_has_as_much(
    most: int, most_bytes: int, steps: list[tuple[str, int]]
) -> None:
    held = Held(most, most_bytes)
    for key, size in steps:
        if key == "x":
            if held.waiting:
                gone = list(held.waiting)[size % len(held.waiting)]
                assert held.hold.leave(gone)
                assert not held.hold.leave(gone)
                del held.waiting[gone]
            continue
        before = dict(held.waiting)
        counts = {one: held.count(one) for one in "abc"}
        amounts = {one: held.bytes_of(one) for one in "abc"}
        fits = len(before) < most and sum(before.values()) + size <= most_bytes
        entered = held.enter(key, size)
        lost = {one.group for one in before if one not in held.waiting}
        assert entered or not lost
        assert entered or not fits
        assert not (fits and lost)
        for other in lost:
            assert other != key
            assert counts[key] + 1 < counts[other] or amounts[key] + size < amounts[other]
            kept = [one for one in before if one.group == other and one in held.waiting]
            # The first ones stay.
            assert kept == [one for one in before if one.group == other][: len(kept)]
        assert len(held.waiting) == len(held.hold) <= most
        assert sum(held.waiting.values()) <= most_bytes

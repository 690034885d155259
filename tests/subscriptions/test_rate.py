"""No source may send more than its share."""

import pytest

from uwsgi_router.subscriptions.rate import BURST, RateLimit, source_of
from uwsgi_router.subscriptions.sender import Credentials, Sender


def udp(address: str) -> Sender:
    return Sender(address, address)


def taken(limit: RateLimit, sender: Sender, now: float, count: int) -> int:
    return sum(limit.allows(sender, now) for _ in range(count))


def test_a_burst_and_then_so_many_a_second() -> None:
    limit = RateLimit(10)
    flood = udp("10.0.0.1")
    assert taken(limit, flood, 0.0, 1000) == 10 * BURST
    assert taken(limit, flood, 1.0, 1000) == 10
    assert taken(limit, flood, 1.05, 1000) == 0
    assert taken(limit, flood, 1000.0, 1000) == 10 * BURST


@pytest.mark.parametrize(("rate", "burst"), [(1, 10), (200, 2_000), (2_000, 2_000), (5_000, 5_000)])
def test_a_burst_is_ten_seconds_worth_but_not_much(rate: int, burst: int) -> None:
    assert taken(RateLimit(rate), udp("10.0.0.1"), 0.0, 50_000) == burst


def test_others_are_not_affected() -> None:
    limit = RateLimit(1)
    assert taken(limit, udp("10.0.0.1"), 0.0, 100) == BURST
    assert limit.allows(udp("10.0.0.2"), 0.0)


def test_zero_is_no_limit() -> None:
    limit = RateLimit(0)
    assert taken(limit, udp("10.0.0.1"), 0.0, 1000) == 1000
    assert len(limit) == 0


def test_what_counts_as_one_source() -> None:
    assert source_of(udp("::ffff:10.0.0.1")) == source_of(udp("10.0.0.1"))
    assert source_of(udp("fd00::1")) == source_of(udp("fd00::2"))
    assert source_of(udp("fd00::1")) != source_of(udp("fd01::1"))
    alice = Sender("unix", None, Credentials(1, 1000, 1000))
    assert source_of(alice) == source_of(Sender("unix x", None, Credentials(2, 1000, 7)))
    assert source_of(alice) != source_of(Sender("unix"))


def test_forged_sources_neither_fill_the_memory_nor_harm_others() -> None:
    limit = RateLimit(1, max_sources=100)
    honest = udp("10.0.0.1")
    for number in range(1000):
        assert limit.allows(udp(f"11.0.{number // 256}.{number % 256}"), float(number))
        assert len(limit) <= 100
    assert limit.allows(honest, 1000.0)


def test_what_is_left_may_be_handed_on() -> None:
    limit, other = RateLimit(10), RateLimit(10)
    senders = [
        *(udp("10.0.0.1"), udp("fd00::1")),
        *(Sender("unix", None, Credentials(1, 1000, 7)), Sender("unix")),
    ]
    for sender in senders:
        taken(limit, sender, 0.0, 95)
    for record in limit.items():
        other.adopt(*record)
    assert [taken(other, sender, 0.0, 100) for sender in senders] == [5] * 4
    other.adopt("ip", "no address", 1.0, 0.0)
    other.adopt("dreams", 1, 1.0, 0.0)
    assert len(other) == 4


def test_more_than_there_may_be_is_not_taken_over() -> None:
    limit = RateLimit(1)
    limit.adopt("ip", "10.0.0.1", 1e9, 0.0)
    assert taken(limit, udp("10.0.0.1"), 0.0, 1000) == BURST

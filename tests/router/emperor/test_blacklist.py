"""Blacklist: the delays are those of uWSGI 2.0.31, which were observed there."""

from uwsgi_router.router.emperor.blacklist import LEAST, Blacklist


def levels(blacklist: Blacklist, count: int) -> list[int]:
    found = []
    for number in range(count):
        blacklist.failed("bad.ini", float(number))
        entry = blacklist.entry("bad.ini")
        assert entry is not None
        found.append(entry.level // 1000)
    return found


def test_levels_grow_by_the_throttle_from_almost_nothing() -> None:
    assert levels(Blacklist(1000, 180_000), 4) == [1, 1001, 2001, 3001]


def test_levels_are_halved_once_they_have_reached_the_most() -> None:
    assert levels(Blacklist(300, 700), 10) == [0, 300, 600, 900, 450, 750, 375, 675, 975, 487]


def test_delays_are_the_levels_and_nobody_spins() -> None:
    blacklist = Blacklist(1000, 180_000)
    assert [blacklist.failed("bad.ini", 0.0) for _ in range(3)] == [0.001, 1.001, 2.001]
    assert [Blacklist(0, 0).failed("bad.ini", 0.0) for _ in range(2)] == [0.001, 0.001]
    none = Blacklist(0, 0)
    assert [none.failed("bad.ini", 0.0) for _ in range(3)] == [0.001, LEAST, LEAST]


def test_an_entry_says_how_often_and_when() -> None:
    blacklist = Blacklist(1000, 180_000)
    for wall in (10.0, 20.0, 30.0):
        blacklist.failed("bad.ini", wall)
    entry = blacklist.entry("bad.ini")
    assert entry is not None
    assert (entry.attempts, entry.first, entry.last) == (2, 10.0, 30.0)


def test_who_is_forgiven_begins_anew() -> None:
    blacklist = Blacklist(1000, 180_000)
    blacklist.failed("bad.ini", 0.0)
    blacklist.failed("worse.ini", 0.0)
    assert blacklist.forgive("bad.ini")
    assert not blacklist.forgive("bad.ini")
    assert [name for name, _ in blacklist] == ["worse.ini"]
    blacklist.clear()
    assert len(blacklist) == 0


def test_without_a_blacklist_only_the_least_delay_is_kept() -> None:
    blacklist = Blacklist(1000, 180_000, enabled=False)
    assert [blacklist.failed("bad.ini", 0.0) for _ in range(3)] == [LEAST] * 3
    assert len(blacklist) == 0

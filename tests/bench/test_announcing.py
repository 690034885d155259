"""Who announces the nodes of a table: all of them, and each key another one first."""

from pathlib import Path

from bench.announcing import STRIDE, Announcer
from uwsgi_router.protocol.subscription import Subscription, decode

KEYS = [f"site{number}" for number in range(100)]
ADDRESSES = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"]


def _said(announcer: Announcer, count: int) -> list[Subscription]:
    return [decode(datagram) for datagram in announcer.datagrams(count)]


def test_every_key_has_a_node_at_every_address(tmp_path: Path) -> None:
    announcer = Announcer(KEYS, ADDRESSES, 1, tmp_path)
    said = _said(announcer, 1000)
    assert len(announcer) == len(said) == 400
    expected = {(key.encode(), address) for key in KEYS for address in ADDRESSES}
    assert {(one.key, one.address) for one in said} == expected
    assert len({one.load for one in said}) == 1
    assert _said(announcer, 1)[0].load != said[0].load


def test_requests_for_one_key_after_the_other_begin_at_another_node_each_time(
    tmp_path: Path,
) -> None:
    first: dict[bytes, str] = {}
    for one in _said(Announcer(KEYS, ADDRESSES, 1, tmp_path), 400):
        first.setdefault(one.key, one.address)
    asked = [first[b"site%d" % (number * STRIDE % 100)] for number in range(100)]
    assert asked == ADDRESSES * 25

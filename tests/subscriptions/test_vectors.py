"""Every captured announce, from the datagram to the table: as its note says is better than what uWSGI does.

What the bytes mean is tested in ``tests/protocol/test_vectors.py``; here, what becomes of them.
"""

from pathlib import Path

import pytest

from tests.subscriptions.signing import flipped
from tests.subscriptions.table import Table, words
from uwsgi_router.protocol.subscription import SubscriptionError, decode
from uwsgi_router.protocol.uwsgi import MODIFIER_SUBSCRIPTION
from uwsgi_router.subscriptions.gate import Gate
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.signature import Signatures, SignCheck

VECTORS = Path(__file__).parent.parent / "vectors"
SENDER = Sender("10.9.9.9", "10.9.9.9")
#: When the signed ones were captured, or a moment later.
CAPTURED = 1_795_232_000

#: Requests and answers, which are no announces.
NO_ANNOUNCES = {"ping", "pong", "resp-http"}
UNREADABLE = {
    *("sub-long-key-300", "size-lie-big", "truncated-tail", "no-key", "empty-key", "bad-numbers"),
    *("modifier-wrap", "weight-negative", "addr-256", "key-256", "v21-vassal-only", "dgram-1byte"),
}
#: What a router that checks signatures says to each that can be read.
CHECKED = {
    "sub-signed": "accepted",
    "unsub-signed": "accepted",
    # By itself it can't be told from a subscribe; see below.
    "sub-signed-m2-flipped": "accepted",
    "sub-signed-nounix": "unsigned",
    "sub-signed-sign-not-last": "unsigned",
    "sub-signed-nofile": "unsigned",
}


def _load() -> dict[str, bytes]:
    packets = {}
    for line in (VECTORS / "uwsgi-packets.tsv").read_text().splitlines():
        name, hexadecimal, _note = line.split("\t")
        if not name.startswith("req-") and name not in NO_ANNOUNCES:
            packets[name] = bytes.fromhex(hexadecimal)
    return packets


PACKETS = _load()
READABLE = [name for name in PACKETS if name not in UNREADABLE]


class Router:
    """From a datagram to the table."""

    def __init__(self, *, signed: bool) -> None:
        check = SignCheck("SHA1", str(VECTORS))
        self.gate = Gate(signatures=Signatures(check) if signed else None)
        self.table = Table()

    def receive(self, datagram: bytes, wall: int = CAPTURED) -> str:
        try:
            subscription = decode(datagram)
            grant = self.gate.admit(subscription, SENDER, wall)
        except SubscriptionError:
            return "malformed"
        except Refused as refused:
            return refused.cause
        self.table.registry.apply(
            subscription, source=SENDER.source, now=self.table.now, grant=grant
        )
        return "accepted"


def test_all_of_them_are_announces_or_meant_to_be() -> None:
    assert set(PACKETS) >= UNREADABLE
    assert all(PACKETS[name][0] == MODIFIER_SUBSCRIPTION for name in PACKETS)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_what_can_not_be_read_leaves_nothing_behind(name: str, signed: bool) -> None:
    router = Router(signed=signed)
    assert router.receive(PACKETS[name]) == "malformed"
    assert router.table.registry.pools == {}


@pytest.mark.parametrize("name", READABLE)
def test_without_signatures_all_others_are_obeyed(name: str) -> None:
    router = Router(signed=False)
    assert router.receive(PACKETS[name]) == "accepted"
    nodes = [node for pool in router.table.registry.pools.values() for node in pool.nodes]
    assert len(nodes) == (0 if "unsub" in name else 1)


@pytest.mark.parametrize("name", READABLE)
def test_with_signatures_only_signed_ones_are(name: str) -> None:
    router = Router(signed=True)
    assert router.receive(PACKETS[name]) == CHECKED.get(name, "unsigned")
    assert bool(router.table.registry.pools) == (
        CHECKED.get(name) == "accepted" and name != "unsub-signed"
    )


@pytest.mark.parametrize("name", [name for name in CHECKED if CHECKED[name] == "accepted"])
def test_a_signed_one_is_good_once_and_only_for_a_day(name: str) -> None:
    router = Router(signed=True)
    assert router.receive(PACKETS[name]) == "accepted"
    before = list(router.table.registry.pools)
    for recorded in (PACKETS[name], flipped(PACKETS[name])):
        assert router.receive(recorded) == "replay"
        assert router.receive(recorded, CAPTURED + 100_000) == "time"
        assert router.receive(recorded, CAPTURED - 100_000) == "time"
    assert list(router.table.registry.pools) == before


def test_the_captured_pair_comes_and_goes_and_stays_away() -> None:
    router = Router(signed=True)
    come, go = PACKETS["sub-signed"], PACKETS["unsub-signed"]
    assert router.receive(come) == "accepted"
    node = router.table.registry.pools[b"example.com"].get("127.0.0.1:17813")
    assert node is not None
    assert router.receive(go) == "accepted"
    for recorded in (come, go, flipped(come), flipped(go)):
        assert router.receive(recorded) == "replay"
    assert router.table.registry.pools == {}


def test_a_client_that_lost_its_key_file_harms_nobody_where_nobody_signs() -> None:
    router = Router(signed=False)
    router.receive(PACKETS["sub-signed-nofile"])
    assert words(router.table.sweep()) == []
    assert router.table.names(b"badsign") == ["127.0.0.1:17890"]

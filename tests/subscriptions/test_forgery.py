"""Whatever is recorded and sent again, in whatever form, the table stays what the signers made of it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.subscriptions.signing import NOW, ec_key, flipped, publish, rsa_key, signed
from tests.subscriptions.table import Table
from uwsgi_router.protocol.subscription import Command, SubscriptionError, decode
from uwsgi_router.subscriptions.gate import Gate
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.signature import Signatures, SignCheck

KEYS = [b"a.example", b"b.example"]
ADDRESSES = ["10.0.0.1:1", "10.0.0.2:1"]
TOLERANCE = 100
HONEST = Sender("10.0.0.1", "10.0.0.1")
ATTACKER = Sender("10.6.6.6", "10.6.6.6")


@cache
def key_directory() -> TemporaryDirectory[str]:
    directory = TemporaryDirectory()
    for key in KEYS:
        publish(Path(directory.name), ec_key(), key)
    return directory


class ForgeryMachine(RuleBasedStateMachine):
    """Nodes that sign, and somebody who sees every packet."""

    @initialize()
    def begin(self) -> None:
        self.signatures = Signatures(SignCheck("SHA256", key_directory().name), TOLERANCE)
        self.gate = Gate(signatures=self.signatures)
        self.table = Table()
        self.wall = NOW
        self.recorded: list[bytes] = []
        self.here: set[tuple[bytes, str]] = set()

    def receive(self, datagram: bytes, sender: Sender) -> None:
        subscription = decode(datagram)
        grant = self.gate.admit(subscription, sender, self.wall)
        self.table.registry.apply(
            subscription, source=sender.source, now=self.table.now, grant=grant
        )

    def nodes(self) -> Iterator[tuple[bytes, str]]:
        for pool in self.table.registry.pools.values():
            for node in pool.nodes:
                yield pool.key, node.name

    @rule(seconds=st.sampled_from([1, 10, 30, 150]))
    def wait(self, seconds: int) -> None:
        """Nodes stay for as long as they are not unsubscribed here: only signatures are the question."""
        self.wall += seconds
        self.gate.forget_old(self.wall)

    @rule(
        key=st.sampled_from(KEYS),
        address=st.sampled_from(ADDRESSES),
        command=st.sampled_from(["subscribe", "unsubscribe"]),
        skew=st.sampled_from([0, -20, 20]),
    )
    def sign(self, key: bytes, address: str, command: Command, skew: int) -> None:
        """A client's clock goes on, but two of its packets may be of one second."""
        unix = self.wall + skew + (command == "unsubscribe")
        datagram = signed(ec_key(), unix, command, key=key, address=address)
        self.recorded.append(datagram)
        try:
            self.receive(datagram, HONEST)
        except Refused as refused:
            assert refused.cause == "replay"  # noqa: PT017
            return
        if command == "subscribe":
            self.here.add((key, address))
        else:
            self.here.discard((key, address))

    @precondition(lambda self: self.recorded)
    @rule(data=st.data(), turned=st.booleans())
    def replay(self, data: st.DataObject, turned: bool) -> None:
        datagram = data.draw(st.sampled_from(self.recorded))
        self.refused(flipped(datagram) if turned else datagram)

    @precondition(lambda self: self.recorded)
    @rule(data=st.data(), place=st.integers(min_value=0), bit=st.integers(0, 7))
    def tamper(self, data: st.DataObject, place: int, bit: int) -> None:
        changed = bytearray(data.draw(st.sampled_from(self.recorded)))
        changed[place % len(changed)] ^= 1 << bit
        self.refused(bytes(changed))

    @rule(key=st.sampled_from(KEYS), command=st.sampled_from(["subscribe", "unsubscribe"]))
    def forge(self, key: bytes, command: Command) -> None:
        self.refused(signed(rsa_key(), self.wall, command, key=key, address=ADDRESSES[0]))

    @rule(ahead=st.sampled_from([TOLERANCE + 1, 10**6, 10**15]))
    def date_ahead(self, ahead: int) -> None:
        """Even the right key is not enough for that."""
        datagram = signed(ec_key(), self.wall + ahead, key=KEYS[0], address=ADDRESSES[0])
        self.refused(datagram)

    def refused(self, datagram: bytes) -> None:
        try:
            self.receive(datagram, ATTACKER)
        except (Refused, SubscriptionError):
            return
        raise AssertionError(f"accepted: {datagram!r}")

    @invariant()
    def only_signers_change_the_table(self) -> None:
        assert set(self.nodes()) == self.here


TestForgery = ForgeryMachine.TestCase
TestForgery.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

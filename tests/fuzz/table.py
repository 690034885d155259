"""Any bytes as a history of the table: announces, connects, silences, in any order.

| byte modulo 16 | then                                        | what happens                     |
|----------------|---------------------------------------------|----------------------------------|
| 0 to 4         | key, address, weight, level and algorithm, one byte each | an announce         |
| 5              | key, address                                | an unsubscribe                   |
| 6, 7           | u16 length, datagram                        | whatever the datagram says       |
| 8              | seconds                                     | time passes                      |
| 9, 10          | seconds                                     | time passes, and a sweep         |
| 11 to 13       | key, how the connect ends                   | a node is chosen and connected   |
| 14             | which                                       | an exchange ends                 |
| 15             | key                                         | a look-up                        |
"""

from dataclasses import dataclass, field

from tests.router.admin.stats.fixtures import Connections
from uwsgi_router.protocol.subscription import Subscription, SubscriptionError, decode
from uwsgi_router.router.admin.stats import metrics
from uwsgi_router.router.admin.stats.document import describe
from uwsgi_router.router.admin.stats.encoding import encode
from uwsgi_router.router.report.counters import Counters
from uwsgi_router.subscriptions.events import (
    Event,
    NodeAdded,
    NodeFailed,
    NodeRefreshed,
    NodeRemoved,
    PoolAdded,
    PoolRemoved,
)
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.registry import Registry

MAX_KEYS = 6
MAX_NODES_PER_KEY = 3
MAX_NODES = 12

_KEYS = (
    *(b"a.example", b".example", b"a.example/x", b"b.a.example", b"k", b"\xff\x00", b"x" * 255),
    *(b"..", b".", b"/", b"a.example:80"),
)
_ADDRESSES = (
    *("127.0.0.1:1", "127.0.0.1:2", ":3", "0.0.0.0:3", "[::]:3", "[::1]:4", "/a.sock", "@a"),
    *("host.example:5", "relative.sock"),
)
_ALGORITHMS = (None, "wrr", "lrc", "wlrc", "iphash", "unknown")


@dataclass
class Table:
    """A small registry, what its nodes are used for, and what it must look like from outside."""

    registry: Registry = field(
        default_factory=lambda: Registry(
            started=0.0,
            dotsplit=True,
            mountpoints=1,
            max_keys=MAX_KEYS,
            max_nodes_per_key=MAX_NODES_PER_KEY,
            max_nodes=MAX_NODES,
        )
    )
    now: float = 0.0
    held: list[SubscribedNode] = field(default_factory=list)
    happened: set[str] = field(default_factory=set)
    #: The nodes of each key, as the events tell it.
    told: dict[bytes, set[SubscribedNode]] = field(default_factory=dict)

    # What the stats ask of a router.
    name = "fastrouter"
    sockets = ("127.0.0.1:1",)
    active_sessions = 0
    static_nodes = None
    configured_nodes = ()
    cheap = False
    upstreams = Connections()
    access_log = None
    certificate_ends = None

    def __post_init__(self) -> None:
        self.counters = Counters()

    @staticmethod
    def seeds(packet: bytes) -> list[bytes]:
        """Histories around a recorded packet."""
        announces = bytes((0, 0, 0, 3, 0, 1, 0, 1, 1, 0, 2, 4, 6, 2, 4))
        use = bytes((11, 0, 0, 12, 0, 1, 13, 4, 2, 14, 0, 15, 0))
        sent = b"\x06" + len(packet).to_bytes(2, "little") + packet
        return [announces + sent + use + bytes((9, 20, 11, 0, 0, 9, 90, 5, 0, 0)) + use]

    def replay(self, data: bytes) -> None:
        """Live through a history; raises AssertionError where the table contradicts itself."""
        steps = iter(data)

        def byte() -> int:
            return next(steps, 0)

        for count, code in enumerate(steps):
            if count == 400:
                break
            match code % 16:
                case 0 | 1 | 2 | 3 | 4:
                    self._announce("subscribe", byte(), byte(), byte(), byte())
                case 5:
                    self._announce("unsubscribe", byte(), byte(), 0, 0)
                case 6 | 7:
                    size = byte() | byte() << 8
                    self._datagram(bytes(next(steps, 0) for _ in range(min(size, 5_000))))
                case 8 | 9 | 10:
                    self.now += byte() * (0.5 if code % 2 else 20.0)
                    if code % 16 != 8:
                        self._tell(self.registry.sweep(self.now))
                case 11 | 12 | 13:
                    self._connect(_KEYS[byte() % len(_KEYS)], byte())
                case 14:
                    self._release(byte())
                case _:
                    self.registry.find(_KEYS[byte() % len(_KEYS)])
                    self.registry.is_known(_KEYS[byte() % len(_KEYS)], self.now)

    def check(self) -> None:
        """Compare the table with its caps, with itself and with what the events told."""
        pools = self.registry.pools
        nodes = [node for pool in pools.values() for node in pool.nodes]
        assert len(pools) <= MAX_KEYS
        assert len(nodes) <= MAX_NODES
        assert all(1 <= len(pool) <= MAX_NODES_PER_KEY for pool in pools.values())
        assert all(key == pool.key and 1 <= len(key) <= 255 for key, pool in pools.items())
        usable = [node for node in nodes if not node.death_mark or node.stale]
        assert len(self.registry) == len(usable)
        assert self.registry.empty == (not usable)
        assert {key: set(pool.nodes) for key, pool in pools.items()} == self.told
        for node in nodes:
            assert node.reference == sum(node is other for other in self.held)
            assert node.weight >= 1
        # When nobody announces anything any more and all exchanges end, nothing remains.
        while self.held:
            self._release(0)
        self.now += 10_000
        self._tell(self.registry.sweep(self.now))
        assert not self.registry.pools
        assert self.registry.empty
        assert not self.told

    def shown(self) -> tuple[bytes, bytes]:
        """The stats document and a scrape."""
        document = encode(describe(self, now=self.now, wall=1e9))
        return b"".join(document), b"".join(metrics.render(self, now=self.now, wall=1e9))

    def _announce(self, command: str, key: int, address: int, weight: int, more: int) -> None:
        assert command in {"subscribe", "unsubscribe"}
        try:
            subscription = Subscription(
                "subscribe" if command == "subscribe" else "unsubscribe",
                _KEYS[key % len(_KEYS)],
                _ADDRESSES[address % len(_ADDRESSES)],
                weight=weight or 1,
                backup=more % 3,
                algo=_ALGORITHMS[more % len(_ALGORITHMS)],
                proto="http" if more == 255 else "uwsgi",
            )
        except SubscriptionError:
            # A key that names no host: it can't be announced.
            return
        self._apply(subscription)

    def _datagram(self, data: bytes) -> None:
        try:
            subscription = decode(data)
        except SubscriptionError:
            self.happened.add("malformed")
            return
        self._apply(subscription)

    def _apply(self, subscription: Subscription) -> None:
        source = None if len(self.happened) % 2 else "192.0.2.7"
        before = {key: len(pool) for key, pool in self.registry.pools.items()}
        try:
            self._tell(self.registry.apply(subscription, source=source, now=self.now))
        except Refused:
            self.happened.add("refused")
            assert before == {key: len(pool) for key, pool in self.registry.pools.items()}

    def _connect(self, key: bytes, how: int) -> None:
        tried = self.held[: how // 64]
        node = self.registry.choose(key, client=bytes((how,)), tried=tried)
        if node is None:
            return
        self.happened.add("chosen")
        assert node not in tried
        assert not node.death_mark or node.stale
        assert self.registry.pools[node.key].get(node.name) is node
        node.reference += 1
        self.held.append(node)
        node.connect_started()
        if how & 1:
            node.connect_slow()
        match how // 2 % 4:
            case 0 | 1:
                node.connected()
            case 2:
                failed = self.registry.connect_failed(node, self.now, timed_out=bool(how & 16))
                self._tell(failed)
            case _:
                node.connect_abandoned()

    def _release(self, which: int) -> None:
        if self.held:
            node = self.held.pop(which % len(self.held))
            node.let_go()
            self._tell(self.registry.released(node, self.now))

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            self.happened.add(type(event).__name__)
            match event:
                case PoolAdded():
                    assert event.key not in self.told
                    self.told[event.key] = set()
                case PoolRemoved():
                    assert not self.told.pop(event.key)
                case NodeAdded():
                    assert event.node not in self.told[event.key]
                    self.told[event.key].add(event.node)
                case NodeRemoved():
                    self.told[event.key].remove(event.node)
                case NodeRefreshed() | NodeFailed():
                    assert event.node in self.told[event.key]

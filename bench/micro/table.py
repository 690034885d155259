"""Micro benchmarks of load balancing: each algorithm among 1, 10 and 100 nodes; the registry with 10,000 keys.

``choose`` only chooses; ``exchange`` also holds the node, and lets go of the one of 200 exchanges ago.
"""

from collections import deque
from collections.abc import Callable, Mapping

from bench.announcing import STRIDE
from bench.micro.micro import Micro
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.balancing import ALGORITHMS, Candidates
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.registry import Registry

KEYS = 10_000
NODES = (1, 10, 100)
HELD = 200

_CLIENTS = [b"192.0.2.%d" % number for number in range(256)]


def _announce(key: bytes, number: int) -> Subscription:
    return Subscription("subscribe", key, f"127.0.0.1:{3000 + number}", weight=1 + number % 3)


def _candidates(nodes: int) -> Candidates:
    registry = Registry(started=0.0)
    for number in range(nodes):
        registry.apply(_announce(b"key", number), source=None, now=0.0)
    return Candidates(tuple(registry.pools[b"key"].nodes))


def _choose(algorithm: str, nodes: int) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        candidates = _candidates(nodes)
        for number, node in enumerate(candidates.nodes):
            node.reference = number % 3  # so that the least loaded ones have to be found
        choose = ALGORITHMS[algorithm]

        def call() -> None:
            for client in _CLIENTS:
                choose(candidates, client, ())

        return call

    return prepare


def _exchange(algorithm: str, nodes: int) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        candidates = _candidates(nodes)
        choose = ALGORITHMS[algorithm]
        held: deque[SubscribedNode] = deque()

        def call() -> None:
            for client in _CLIENTS:
                node = choose(candidates, client, ())
                assert node is not None
                node.reference += 1
                held.append(node)
                if len(held) > HELD:
                    held.popleft().let_go()

        return call

    return prepare


def _registry() -> tuple[Registry, list[Subscription]]:
    """Return a table with one node for each key, and what they announce, in another order."""
    registry = Registry(started=0.0, max_keys=2 * KEYS)
    announces = [_announce(b"site%d.example.com" % number, number % 100) for number in range(KEYS)]
    for announce in announces:
        registry.apply(announce, source=None, now=0.0)
    return registry, [announces[number * STRIDE % KEYS] for number in range(KEYS)]


def _apply() -> Callable[[], object]:
    registry, announces = _registry()

    def call() -> None:
        for announce in announces:
            registry.apply(announce, source=None, now=1.0)

    return call


def _choose_key() -> Callable[[], object]:
    registry, announces = _registry()
    keys = [announce.key for announce in announces]

    def call() -> None:
        for key in keys:
            registry.choose(key)

    return call


MICROS: Mapping[str, Micro] = {
    **{
        f"choose-{algorithm}-{nodes}": Micro(_choose(algorithm, nodes), len(_CLIENTS))
        for algorithm in ALGORITHMS
        for nodes in NODES
    },
    **{
        f"exchange-{algorithm}-{nodes}": Micro(_exchange(algorithm, nodes), len(_CLIENTS))
        for algorithm in ("wrr", "lrc", "wlrc")
        for nodes in NODES
    },
    "registry-announce": Micro(_apply, KEYS),
    "registry-choose": Micro(_choose_key, KEYS),
}

"""Load balancing algorithms: wrr, lrc, wlrc, iphash (uWSGI: core/subscription.c).

Every algorithm is a function over :class:`Candidates`. They share one notion of turns: in a round
each node gets credit for as many requests as its weight says; the node with the largest part of its
credit left is next; when nobody has credit a new round begins. So over each full round each node
gets exactly its weight, spread over the round, and no number is ever negative. ``lrc`` and ``wlrc``
use the same turns among the nodes that are tied.

Costs, with n nodes: ``wrr`` O(log n); ``lrc`` and ``wlrc`` one pass over the counters; ``iphash``
one pass for a client's first request, then a look-up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush, heapreplace
from operator import attrgetter
from typing import Final

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.subscriptions.node import Node, SubscribedNode

#: Clients whose node is remembered for iphash; then all are forgotten, which costs a pass each.
MAX_HOMES: Final = 1024

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_ODD: Final = 0x9E37_79B9_7F4A_7C15

_reference = attrgetter("reference")


class Candidates:
    """Candidates of equal rank, with the state of their turns.

    Args:
        nodes: at least one.
        before: the candidates that these replace. Who was among them keeps its credit; others get
            as large a part of theirs as is left in that round, or a node that comes (back) would
            get a burst of requests.
    """

    __slots__ = ("homes", "nodes", "seeds", "turns")

    def __init__(self, nodes: Sequence[SubscribedNode], before: "Candidates | None" = None) -> None:
        self.nodes = nodes
        self.homes: dict[bytes, SubscribedNode] = {}
        self.seeds: list[int] | None = None
        self.turns: list[tuple[float, int, SubscribedNode]] = []
        known = set() if before is None else set(before.nodes)
        left, total = 1, 1
        if before is not None:
            left = sum(node.wrr for node in before.nodes)
            total = sum(node.weight for node in before.nodes)
        for node in nodes:
            if node in known:
                node.wrr = min(node.wrr, node.weight)
            else:
                node.wrr = min(node.weight, max(1, round(node.weight * left / total)))
        self._fill_turns()

    def __repr__(self) -> str:
        return f"<Candidates {' '.join(f'{n.name}:{n.wrr}/{n.weight}' for n in self.nodes)}>"

    def new_round(self) -> None:
        """Give everybody the credit of a full round."""
        for node in self.nodes:
            node.wrr = node.weight
        self._fill_turns()

    def _fill_turns(self) -> None:
        self.turns = [(_turn(node), node.order, node) for node in self.nodes if node.wrr]
        heapify(self.turns)


Algorithm = Callable[[Candidates, bytes, Collection[Node]], SubscribedNode | None]
"""(candidates, client's address as text, nodes excluded) -> a node, or None if none is left."""


def _turn(node: SubscribedNode) -> float:
    """Return when in the round (0 to 1) the node's next turn is.

    A node of weight w has its turns at 1/2w, 3/2w, 5/2w...
    """
    return 1 - (node.wrr - 0.5) / node.weight


def wrr(
    candidates: Candidates,
    _client: bytes,
    excluded: Collection[Node],
) -> SubscribedNode | None:
    """Choose by weighted round robin."""
    if excluded:
        if all(node in excluded for node in candidates.nodes):
            return None
        return _next(candidates, lambda node: node not in excluded)
    if not candidates.turns:
        candidates.new_round()
    return _spend(candidates.turns)


def lrc(
    candidates: Candidates,
    _client: bytes,
    excluded: Collection[Node],
) -> SubscribedNode | None:
    """Choose by least references: the node with the fewest exchanges; ties as wrr."""
    return _least(candidates, excluded, _reference)


def wlrc(
    candidates: Candidates,
    _client: bytes,
    excluded: Collection[Node],
) -> SubscribedNode | None:
    """Choose by least references for the weight; ties as wrr."""
    return _least(candidates, excluded, _references_by_weight)


def iphash(
    candidates: Candidates, client: bytes, excluded: Collection[Node]
) -> SubscribedNode | None:
    """Choose by rendezvous hashing: a client gets the same node as long as it is there.

    Every client ranks all nodes and takes the first: when a node leaves, only its own clients move;
    when one comes, it takes its share from all others alike. Weights have no part in it. The same
    in all processes. Clients without an address get what wrr says.
    """
    if not client:
        return wrr(candidates, client, excluded)
    if excluded:
        return _home(candidates, client, excluded)
    node = candidates.homes.get(client)
    if node is None:
        node = _home(candidates, client, excluded)
        if node is not None:
            if len(candidates.homes) >= MAX_HOMES:
                candidates.homes.clear()
            candidates.homes[client] = node
    return node


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "wrr": wrr,
    "lrc": lrc,
    "wlrc": wlrc,
    "iphash": iphash,
}


def _spend(turns: list[tuple[float, int, SubscribedNode]]) -> SubscribedNode:
    """Spend a turn of the node that is first."""
    _, order, node = turns[0]
    node.wrr -= 1
    if node.wrr:
        heapreplace(turns, (_turn(node), order, node))
    else:
        heappop(turns)
    return node


def _references_by_weight(node: SubscribedNode) -> float:
    return node.reference / node.weight


def _least(
    candidates: Candidates,
    excluded: Collection[Node],
    load: Callable[[SubscribedNode], float],
) -> SubscribedNode | None:
    if excluded:
        left = [node for node in candidates.nodes if node not in excluded]
        if not left:
            return None
        least = min(map(load, left))
        return _next(candidates, lambda node: load(node) == least and node not in excluded)
    least = min(map(load, candidates.nodes))
    return _next(candidates, lambda node: load(node) == least)


def _next(candidates: Candidates, allowed: Callable[[SubscribedNode], bool]) -> SubscribedNode:
    """Return the first in turn of the nodes that are allowed; there must be one.

    If none of these has credit left, a new round begins for all.
    """
    turns = candidates.turns
    passed = []
    while turns and not allowed(turns[0][2]):
        passed.append(heappop(turns))
    if not turns:
        candidates.new_round()
        return _next(candidates, allowed)
    node = _spend(turns)
    for turn in passed:
        heappush(turns, turn)
    return node


def _home(
    candidates: Candidates, client: bytes, excluded: Collection[Node]
) -> SubscribedNode | None:
    """Return the node that ranks first for a client."""
    if candidates.seeds is None:
        candidates.seeds = [_hash(to_bytes(node.name)) for node in candidates.nodes]
    hashed = _hash(client)
    best, found = -1, None
    for node, seed in zip(candidates.nodes, candidates.seeds, strict=True):
        # Multiply, fold, multiply: enough to make the ranks of different nodes independent.
        rank = (hashed ^ seed) * _ODD & _MASK
        rank = (rank ^ rank >> 32) * _ODD & _MASK
        if rank > best and node not in excluded:
            best, found = rank, node
    return found


def _hash(text: bytes) -> int:
    """Return a number of 64 bits that is the same in every process, unlike ``hash()``."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")

"""Load balancing algorithms: wrr, lrc, wlrc, iphash (uWSGI: core/subscription.c).

Every algorithm is a function over :class:`Candidates`. They share one notion of turns: in a round
each node gets credit for as many requests as its weight says; the node with the largest part of its
credit left is next; when nobody has credit a new round begins. So over each full round each node
gets exactly its weight, spread over the round, and no number is ever negative. ``lrc`` and ``wlrc``
use the same turns among the nodes that are tied.

Costs, with n nodes: ``wrr``, ``lrc`` and ``wlrc`` O(log n); ``iphash`` one pass for a client's first
request, then a look-up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.subscriptions.node import Node, SubscribedNode

#: Clients whose node is remembered for iphash; then all are forgotten, which costs a pass each.
MAX_HOMES: Final = 1024

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_ODD: Final = 0x9E37_79B9_7F4A_7C15


class Candidates:
    """Candidates of equal rank, with the state of their turns.

    Args:
        nodes: at least one, in their order.
        before: the candidates that these replace. Who was among them keeps its credit; others get
            as large a part of theirs as is left in that round, or a node that comes (back) would
            get a burst of requests.

    Attributes:
        nodes: as given.
        equal: all have the same weight.
        at: in a round of equal nodes that all take their turns: who is next; -1: the heap says that.
        turns: the heap: (turn, order, node) of each node that has credit left.
        loads: the order for ``lrc`` and ``wlrc``, once it was needed.
        homes: for ``iphash``: nodes of clients that have asked.
        seeds: for ``iphash``: of each node.
    """

    __slots__ = ("at", "equal", "homes", "loads", "nodes", "seeds", "turns")

    def __init__(self, nodes: Sequence[SubscribedNode], before: "Candidates | None" = None) -> None:
        self.nodes = nodes
        self.homes: dict[bytes, SubscribedNode] = {}
        self.seeds: list[int] | None = None
        self.loads: LoadOrder | None = None
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
        # Equal nodes take turns one after the other, which needs no heap.
        self.equal = all(node.weight == nodes[0].weight for node in nodes)
        self.at = -1
        self.fill_turns()

    def __repr__(self) -> str:
        return f"<Candidates {' '.join(f'{n.name}:{n.wrr}/{n.weight}' for n in self.nodes)}>"

    def new_round(self) -> None:
        """Give everybody the credit of a full round."""
        for node in self.nodes:
            node.wrr = node.weight
        if self.equal:
            self.at = 0
        else:
            self.fill_turns()

    def fill_turns(self) -> None:
        """Put those who have credit left into the heap of turns, which then says who is next."""
        self.at = -1
        self.turns = [
            (_turn(node.wrr, node.weight), node.order, node) for node in self.nodes if node.wrr
        ]
        heapify(self.turns)


Entry = tuple[float, int, float, int, SubscribedNode]
"""(load, round, turn, order, node): place of a node, as it is or was."""


class LoadOrder:
    """Order of candidates by load and then by turn, for ``lrc`` and ``wlrc``: a heap that is corrected when asked.

    The place of a node is (load, round, turn, order); who has no credit left has its place in the
    next round. Each node has an entry that is at its place or before it: what moves it back (one more
    exchange, a spent turn, a new round) is noticed once its entry is the first; what moves it forward
    (one exchange less) makes a further entry. So an exchange costs next to nothing between two
    choices, and nobody looks at all nodes.

    Args:
        nodes: the candidates.
        weighted: a node's load is its exchanges by its weight.

    Attributes:
        weighted: as given.
    """

    __slots__ = ("_freed", "_heap", "_nodes", "_round", "_spent", "weighted")

    def __init__(self, nodes: Sequence[SubscribedNode], *, weighted: bool) -> None:
        self.weighted = weighted
        self._nodes = nodes
        self._round = 0
        # Those without the credit of a full round.
        self._spent = [node for node in nodes if node.wrr < node.weight]
        # Nodes with exchanges less since the last choice; they add themselves.
        self._freed: list[SubscribedNode] = []
        for node in nodes:
            node.freed = self._freed
        self._heap: list[Entry] = []
        self._sort()

    def choose(self, excluded: Collection[Node]) -> SubscribedNode | None:
        """Spend a turn of the first in turn of the least loaded nodes, and return it; None: all are excluded."""
        if self._freed:
            self._enter_freed()
        node = self._first(excluded)
        if node is None:
            return None
        if not node.wrr:
            # It comes behind those that are as loaded and have credit, so there are none.
            self._round += 1
            for spent in self._spent:
                spent.wrr = spent.weight
            self._spent.clear()
        if node.wrr == node.weight:
            self._spent.append(node)
        node.wrr -= 1
        return node

    def _first(self, excluded: Collection[Node]) -> SubscribedNode | None:
        """Return the first node that is not excluded."""
        heap = self._heap
        passed: list[Entry] = []
        found: SubscribedNode | None = None
        while heap:
            first = heap[0]
            node = first[4]
            if excluded and node in excluded:
                passed.append(heappop(heap))
                continue
            place = self._place(node)
            if first == place:
                found = node
                break
            heapreplace(heap, place)
        for entry in passed:
            heappush(heap, entry)
        return found

    def _enter_freed(self) -> None:
        """Make entries for nodes that have moved forward."""
        if len(self._heap) + len(self._freed) > 3 * len(self._nodes) + 16:
            # So many are out of date: after as many exchanges it is less work to begin anew.
            self._sort()
        else:
            for node in self._freed:
                heappush(self._heap, self._place(node))
        self._freed.clear()

    def _sort(self) -> None:
        self._heap = [self._place(node) for node in self._nodes]
        heapify(self._heap)

    def _place(self, node: SubscribedNode) -> Entry:
        load = node.reference / node.weight if self.weighted else node.reference
        if node.wrr:
            return load, self._round, _turn(node.wrr, node.weight), node.order, node
        return load, self._round + 1, _turn(node.weight, node.weight), node.order, node


Algorithm = Callable[[Candidates, bytes, Collection[Node]], SubscribedNode | None]
"""(candidates, client's address as text, nodes excluded) -> a node, or None if none is left."""


def _turn(credit: int, weight: int) -> float:
    """Return when in the round (0 to 1) the next turn of a node with so much credit left is.

    A node of weight w has its turns at 1/2w, 3/2w, 5/2w...
    """
    return 1 - (credit - 0.5) / weight


def wrr(
    candidates: Candidates,
    _client: bytes,
    excluded: Collection[Node],
) -> SubscribedNode | None:
    """Choose by weighted round robin."""
    if excluded:
        return _next(candidates, excluded)
    at = candidates.at
    if at < 0:
        if candidates.turns:
            return _spend(candidates.turns)
        candidates.new_round()
        return wrr(candidates, _client, excluded)
    nodes = candidates.nodes
    node = nodes[at]
    if not node.wrr:
        # They are equal: nobody has credit left.
        candidates.new_round()
    node.wrr -= 1
    candidates.at = at + 1 if at + 1 < len(nodes) else 0
    return node


def lrc(
    candidates: Candidates,
    _client: bytes,
    excluded: Collection[Node],
) -> SubscribedNode | None:
    """Choose by least references: the node with the fewest exchanges; ties as wrr."""
    return _least(candidates, excluded, weighted=False)


def wlrc(
    candidates: Candidates,
    _client: bytes,
    excluded: Collection[Node],
) -> SubscribedNode | None:
    """Choose by least references for the weight; ties as wrr."""
    return _least(candidates, excluded, weighted=True)


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
        heapreplace(turns, (_turn(node.wrr, node.weight), order, node))
    else:
        heappop(turns)
    return node


def _next(candidates: Candidates, excluded: Collection[Node]) -> SubscribedNode | None:
    """Return the first in turn of the nodes that are not excluded, None if all are.

    If none of these has credit left, a new round begins for all.
    """
    if all(node in excluded for node in candidates.nodes):
        return None
    if candidates.at >= 0:
        candidates.fill_turns()
    turns = candidates.turns
    passed = []
    while turns and turns[0][2] in excluded:
        passed.append(heappop(turns))
    if not turns:
        candidates.new_round()
        return _next(candidates, excluded)
    node = _spend(turns)
    for turn in passed:
        heappush(turns, turn)
    return node


def _least(
    candidates: Candidates, excluded: Collection[Node], *, weighted: bool
) -> SubscribedNode | None:
    if len(candidates.nodes) == 1:
        return wrr(candidates, b"", excluded)
    loads = candidates.loads
    if loads is None or loads.weighted != weighted:
        loads = candidates.loads = LoadOrder(candidates.nodes, weighted=weighted)
    return loads.choose(excluded)


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

"""Node pool: the nodes of one key, grouped by rank and backup level."""

from collections.abc import Collection, ValuesView
from itertools import islice
from typing import Final

from uwsgi_router.subscriptions.balancing import ALGORITHMS, Candidates
from uwsgi_router.subscriptions.fair_room import Place
from uwsgi_router.subscriptions.node import (
    DRAINED,
    FULL_SHARE,
    GONE,
    SLOW_CONNECT,
    STALE,
    Node,
    SubscribedNode,
)
from uwsgi_router.subscriptions.slow_start import SlowStart
from uwsgi_router.subscriptions.sni import Sni

# Algorithms that know of slow start themselves, or to which a client's node is more than its load.
_NOT_PASSED_OVER: Final = frozenset({"least", "iphash"})


class NodePool:
    """Pool of the nodes that announced one key (uWSGI's "slot"); changed only by the registry.

    Nodes are grouped by how good a choice they are: first by rank (ready, slow-connect, ejected,
    stale), then by backup level; the balancing algorithm chooses within the best group that has a
    node. The groups are made when they are needed and kept until some node's rank changes, because
    that is rare and choosing is not.

    Args:
        key: see below.
        algorithm: see below.
        founder: see below.
        slow_start: of the table; None: there is none.

    Attributes:
        key: as announced.
        algorithm: name of the balancing algorithm.
        hits: look-ups of the key, those of further attempts included.
        sni: what TLS for the key needs, as the events have told it.
        founder: where its first node was announced from: the key counts against that place's share.
    """

    __slots__ = (
        "_algorithm",
        "_best",
        "_by_name",
        "_groups",
        "_passes_over",
        "_slow_start",
        "_sorted",
        "algorithm",
        "founder",
        "hits",
        "key",
        "sni",
    )

    def __init__(
        self, key: bytes, algorithm: str, founder: Place, slow_start: SlowStart | None = None
    ) -> None:
        self.key = key
        self.founder = founder
        self.algorithm = algorithm
        self.hits = 0
        self.sni: Sni | None = None
        self._algorithm: Final = ALGORITHMS[algorithm]
        self._slow_start = slow_start
        self._passes_over = algorithm not in _NOT_PASSED_OVER
        self._by_name: dict[str, SubscribedNode] = {}
        self._groups: dict[tuple[int, int], Candidates] = {}
        # The first of the groups: most pools have no other.
        self._best: Candidates | None = None
        self._sorted = True

    def __repr__(self) -> str:
        return (
            f"<NodePool {self.key!r} {self.algorithm} hits={self.hits}"
            f" nodes=[{', '.join(self._by_name)}]>"
        )

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def nodes(self) -> ValuesView[SubscribedNode]:
        """All nodes, in the order of their first announces."""
        return self._by_name.values()

    def get(self, name: str) -> SubscribedNode | None:
        """Return the node called ``name``."""
        return self._by_name.get(name)

    def has_from(self, place: Place, count: int) -> bool:
        """Return True if at least so many nodes were announced from the source of ``place``."""
        source = place.source
        theirs = (node for node in self._by_name.values() if node.place.source == source)
        return sum(1 for _ in islice(theirs, count)) == count

    def add(self, node: SubscribedNode) -> None:
        """Take a node in."""
        self._by_name[node.name] = node
        node.group = self
        self.resort()

    def remove(self, node: SubscribedNode) -> None:
        """Let a node go."""
        del self._by_name[node.name]
        node.freed = None
        if self._slow_start is not None:
            self._slow_start.end(node)
        self.resort()

    def announced_sni(self) -> Sni | None:
        """Return the certificate files that the first announcing node names, of those that are not gone.

        The first, so that two nodes that differ don't change it with each of their announces.
        """
        for node in self._by_name.values():
            if node.sni is not None and node.rank != GONE:
                return node.sni
        return None

    def resort(self) -> None:
        """Sort the nodes anew before the next choice: a rank, weight or backup level changed."""
        self._sorted = False

    def has_untried(self, excluded: Collection[Node]) -> bool:
        """Return True if :meth:`choose` would return a node; spend no turn."""
        return any(node.takes_requests and node not in excluded for node in self._by_name.values())

    def choose(self, client: bytes, excluded: Collection[Node]) -> SubscribedNode | None:
        """Return the best node, or None if there is none.

        Args:
            client: the client's address as text, for iphash; empty if there is none.
            excluded: nodes not to be chosen: this request has tried them.
        """
        if not self._sorted:
            self._sort_nodes()
        best = self._best
        if best is None:
            return None
        node = self._algorithm(best, client, excluded)
        if node is not None:
            # A request that has tried others already goes wherever it can.
            if node.share < FULL_SHARE and self._passes_over and not excluded:
                return self._or_another(best, node, client)
            return node
        for candidates in self._groups.values():
            if candidates is not best:
                node = self._algorithm(candidates, client, excluded)
                if node is not None:
                    return node
        return None

    def _or_another(self, best: Candidates, first: SubscribedNode, client: bytes) -> SubscribedNode:
        """Return ``first``, a node in slow start, as often as its share says, else another one."""
        node = first
        passed: list[SubscribedNode] = []
        while node.share < FULL_SHARE:
            node.due += node.share
            if node.due >= FULL_SHARE:
                node.due -= FULL_SHARE
                break
            passed.append(node)
            other = self._algorithm(best, client, passed)
            if other is None:
                return first
            node = other
        return node

    def _begin_slowly(self, slow_start: SlowStart) -> None:
        """Begin the slow start of nodes that have come, unless there are too few others to stand in for them."""
        whole, part, came = 0, [], []
        for node in self._by_name.values():
            rank = node.rank
            if rank > SLOW_CONNECT:
                # One whose announces do not come may have served all the time.
                if rank != STALE:
                    node.in_service = False
                    slow_start.end(node)
            elif not node.in_service:
                node.in_service = True
                came.append(node)
            elif node.share < FULL_SHARE:
                part.append(node)
            else:
                whole += 1
        if len(came) + len(part) > whole:
            # Half of the nodes would have to serve the requests of the others, and those have nothing to do.
            for node in part:
                slow_start.end(node)
        elif slow_start.on:
            for node in came:
                slow_start.begin(node)

    def _sort_nodes(self) -> None:
        """Group the nodes anew, if something has changed."""
        if self._sorted:
            return
        if self._slow_start is not None:
            self._begin_slowly(self._slow_start)
        groups: dict[tuple[int, int], list[SubscribedNode]] = {}
        for node in self._by_name.values():
            node.freed = None
            rank = node.rank
            if rank < DRAINED:
                groups.setdefault((rank, node.backup), []).append(node)
        self._groups = {
            place: Candidates(groups[place], self._groups.get(place)) for place in sorted(groups)
        }
        self._best = next(iter(self._groups.values()), None)
        self._sorted = True

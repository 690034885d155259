"""Node pool: the nodes of one key, grouped by rank and backup level."""

from collections.abc import Collection, ValuesView
from itertools import islice
from typing import Final

from uwsgi_router.subscriptions.balancing import ALGORITHMS, Candidates
from uwsgi_router.subscriptions.fair_room import Place
from uwsgi_router.subscriptions.node import DRAINED, GONE, Node, SubscribedNode
from uwsgi_router.subscriptions.sni import Sni


class NodePool:
    """Pool of the nodes that announced one key (uWSGI's "slot"); changed only by the registry.

    Nodes are grouped by how good a choice they are: first by rank (ready, slow-connect, ejected,
    stale), then by backup level; the balancing algorithm chooses within the best group that has a
    node. The groups are made when they are needed and kept until some node's rank changes, because
    that is rare and choosing is not.

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
        "_sorted",
        "algorithm",
        "founder",
        "hits",
        "key",
        "sni",
    )

    def __init__(self, key: bytes, algorithm: str, founder: Place) -> None:
        self.key = key
        self.founder = founder
        self.algorithm = algorithm
        self.hits = 0
        self.sni: Sni | None = None
        self._algorithm: Final = ALGORITHMS[algorithm]
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
        self.resort()

    def remove(self, node: SubscribedNode) -> None:
        """Let a node go."""
        del self._by_name[node.name]
        node.freed = None
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
            return node
        for candidates in self._groups.values():
            if candidates is not best:
                node = self._algorithm(candidates, client, excluded)
                if node is not None:
                    return node
        return None

    def _sort_nodes(self) -> None:
        """Group the nodes anew, if something has changed."""
        if self._sorted:
            return
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

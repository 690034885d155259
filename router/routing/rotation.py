"""Round robin with a grace time after failed connects, for ``to`` and caches (uWSGI: plugins/corerouter/cr_map.c)."""

from collections.abc import Collection, Sequence

from uwsgi_router.router.routing.configured import ConfiguredForwarder, UnannouncedNode
from uwsgi_router.subscriptions.health import Ejections
from uwsgi_router.subscriptions.node import Node


class RotatingForwarder(ConfiguredForwarder):
    """Forwarder that takes nodes in turn (round robin).

    A node whose connect failed is passed over for the grace time; then one request tries it again. When all are,
    they are tried all the same if nothing else could answer (``last_resort``): a refusal costs less than an outage
    of 30 s after the restart of a single node, which is what uWSGI makes of it.

    Args:
        gracetime: seconds.
        last_resort: no fallback is configured.
        ejections: of nodes that fail requests.
        unknown: as for :class:`Forwarder`.
    """

    def __init__(
        self,
        gracetime: float,
        *,
        last_resort: bool,
        ejections: Ejections | None = None,
        unknown: str = "no node is configured",
    ) -> None:
        super().__init__(ejections, unknown)
        self._gracetime = gracetime
        self._last_resort = last_resort

    def _in_turn(
        self, nodes: Sequence[UnannouncedNode], first: int, tried: Collection[Node], now: float
    ) -> int | None:
        """Return the index of the next node: a healthy, slow, or ejected one; as last resort one in its grace time.

        Args:
            nodes: in the order of their turns.
            first: index of the one whose turn it is.
            tried: not these.
            now: the loop's clock.
        """
        count = len(nodes)
        if count and not tried:
            # The usual case.
            index = first % count
            node = nodes[index]
            if node.failed_at is None and not node.connecting and not node.passed_over:
                return index
        self._ejections.sweep(now)
        slow: int | None = None
        ejected: int | None = None
        in_grace: int | None = None
        for step in range(count):
            index = (first + step) % count
            node = nodes[index]
            if node.drained or node in tried:
                continue
            if node.failed_at is not None and node.failed_at + self._gracetime > now:
                in_grace = index if in_grace is None else in_grace
            elif node.ejected:
                ejected = index if ejected is None else ejected
            elif node.connecting_slowly:
                slow = index if slow is None else slow
            else:
                return index
        if slow is not None:
            return slow
        if ejected is not None:
            # That it fails is a guess, and a node that fails is better than none.
            return ejected
        return in_grace if self._last_resort else None

    def is_fit(self, node: UnannouncedNode, now: float) -> bool:
        """Return True if nothing speaks against a node: it is not in its grace time, slow, ejected or drained."""
        if node.passed_over or node.connecting_slowly:
            return False
        return node.failed_at is None or node.failed_at + self._gracetime <= now

    def state_of(self, node: UnannouncedNode, now: float) -> str:
        """Return the word for a node's state."""
        state = super().state_of(node, now)
        in_grace = node.failed_at is not None and node.failed_at + self._gracetime > now
        return "grace" if in_grace and state != "drained" else state

    def connect_failed(self, node: Node, now: float, *, timed_out: bool) -> None:
        """Begin the node's grace time."""
        super().connect_failed(node, now, timed_out=timed_out)
        if isinstance(node, UnannouncedNode):
            node.failed_at = now

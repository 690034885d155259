"""Round robin with a grace time after failed connects, for ``to`` and caches (uWSGI: plugins/corerouter/cr_map.c)."""

from collections.abc import Collection, Sequence

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node


class UnannouncedNode(Node):
    """Node that was configured or named by a cache, with the time of its last failed connect.

    Attributes:
        failed_at: loop time of its last failed connect; None once a connect has succeeded.
    """

    __slots__ = ("failed_at",)

    def __init__(
        self, name: str, address: Address, *, modifier1: int = 0, proto: NodeProto = "uwsgi"
    ) -> None:
        super().__init__(name, address, modifier1=modifier1, proto=proto)
        self.failed_at: float | None = None

    def connected(self) -> None:
        """Record a connect that succeeded."""
        super().connected()
        self.failed_at = None


class RotatingForwarder(Forwarder):
    """Forwarder that takes nodes in turn (round robin).

    A node whose connect failed is passed over for the grace time; then one request tries it again. When all are,
    they are tried all the same if nothing else could answer (``last_resort``): a refusal costs less than an outage
    of 30 s after the restart of a single node, which is what uWSGI makes of it.

    Args:
        gracetime: seconds.
        last_resort: no fallback is configured.
    """

    def __init__(
        self, gracetime: float, *, last_resort: bool, unknown: str = "no node is configured"
    ) -> None:
        super().__init__(unknown=unknown)
        self._gracetime = gracetime
        self._last_resort = last_resort

    def _in_turn(
        self, nodes: Sequence[UnannouncedNode], first: int, tried: Collection[Node], now: float
    ) -> int | None:
        """Return the index of the next healthy node; else of a slow one; else, as last resort, of one in grace time.

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
            if node.failed_at is None and not node.connecting:
                return index
        slow: int | None = None
        in_grace: int | None = None
        for step in range(count):
            index = (first + step) % count
            node = nodes[index]
            if node in tried:
                continue
            if node.failed_at is not None and node.failed_at + self._gracetime > now:
                in_grace = index if in_grace is None else in_grace
            elif node.connecting_slowly:
                slow = index if slow is None else slow
            else:
                return index
        if slow is not None:
            return slow
        return in_grace if self._last_resort else None

    def connect_failed(self, node: Node, now: float, *, timed_out: bool) -> None:
        """Begin the node's grace time."""
        super().connect_failed(node, now, timed_out=timed_out)
        if isinstance(node, UnannouncedNode):
            node.failed_at = now

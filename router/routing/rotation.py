"""Nodes in turns, resting for a while after a failed connect (routers-core sheet 1.7): for ``to`` and for caches."""

from collections.abc import Collection, Sequence

from uwsgi_router.protocol.address import Address
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node


class RestingNode(Node):
    """A node that was not announced.

    Attributes:
        failed_at: loop time of its last failed connect; None once a connect has succeeded.
    """

    __slots__ = ("failed_at",)

    def __init__(self, name: str, address: Address, *, modifier1: int = 0) -> None:
        super().__init__(name, address, modifier1=modifier1)
        self.failed_at: float | None = None

    def connected(self) -> None:
        """A connect succeeded."""
        super().connected()
        self.failed_at = None


class RotatingForwarder(Forwarder):
    """Chooses among nodes in turn.

    A node whose connect failed rests for the grace time; then one request tries it again. When all of them rest
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
        self, nodes: Sequence[RestingNode], first: int, tried: Collection[Node], now: float
    ) -> int | None:
        """Return the index of the next healthy node; else of a doubtful one; else, as a last resort, of one that rests.

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
        doubtful: int | None = None
        resting: int | None = None
        for step in range(count):
            index = (first + step) % count
            node = nodes[index]
            if node in tried:
                continue
            if node.failed_at is not None and node.failed_at + self._gracetime > now:
                resting = index if resting is None else resting
            elif node.connecting_slowly:
                doubtful = index if doubtful is None else doubtful
            else:
                return index
        if doubtful is not None:
            return doubtful
        return resting if self._last_resort else None

    def connect_failed(self, node: Node, now: float, *, timed_out: bool) -> None:
        """Let the node rest."""
        super().connect_failed(node, now, timed_out=timed_out)
        if isinstance(node, RestingNode):
            node.failed_at = now

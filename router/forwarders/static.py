"""``to``: configured nodes in rotation, resting for a while after a failed connect (routers-core sheet 1.7)."""

from collections.abc import Collection, Iterable, Sequence

from protocol.address import Address, InetAddress, parse_address
from router.forwarders.base import Forwarder
from router.net.connect import Endpoint, is_name
from router.request import Request
from subscriptions.node import Node


class StaticNode(Node):
    """A configured node.

    Attributes:
        failed_at: loop time of its last failed connect; None once it is tried again.
    """

    __slots__ = ("failed_at",)

    def __init__(self, name: str, address: Address) -> None:
        super().__init__(name, address)
        self.failed_at: float | None = None

    def connected(self) -> None:
        """A connect succeeded."""
        super().connected()
        self.failed_at = None


class StaticForwarder(Forwarder):
    """Each address in turn.

    A node whose connect failed rests for the grace time; then one request tries it again. When all of them rest
    they are tried all the same if nothing else could answer (``last_resort``): a refusal costs less than an outage
    of 30 s after the restart of a single node, which is what uWSGI makes of it.

    Args:
        addresses: as configured. A host name stands for every address it has: see :meth:`resolved`.
        gracetime: seconds.
        last_resort: no fallback is configured.

    Attributes:
        names: the configured host names, for whoever resolves them.
    """

    def __init__(self, addresses: Sequence[str], gracetime: float, *, last_resort: bool) -> None:
        self._gracetime = gracetime
        self._last_resort = last_resort
        self._groups: list[list[StaticNode]] = []
        self.names: dict[int, InetAddress] = {}
        for index, text in enumerate(addresses):
            address = parse_address(text)
            if isinstance(address, InetAddress) and is_name(address):
                self.names[index] = address
                self._groups.append([])
            else:
                self._groups.append([StaticNode(text, address)])
        self._next = 0
        self.nodes: list[StaticNode] = []
        self._flatten()

    def __repr__(self) -> str:
        return f"<StaticForwarder {self.nodes!r}>"

    def resolved(self, index: int, endpoints: Iterable[Endpoint]) -> bool:
        """Take over the addresses that the index-th configured name has now; True if they changed.

        Nodes that stay keep their counters and marks.
        """
        port = self.names[index].port
        addresses = [InetAddress(str(where[0]), port) for _family, where in endpoints]
        known = {node.address: node for node in self._groups[index]}
        if set(known) == set(addresses):
            return False
        self._groups[index] = [
            known.get(address) or StaticNode(str(address), address) for address in addresses
        ]
        self._flatten()
        return True

    def _flatten(self) -> None:
        self.nodes = [node for group in self._groups for node in group]

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the next healthy node; then one that is doubtful; then, as a last resort, one that rests."""
        nodes = self.nodes
        count = len(nodes)
        doubtful: int | None = None
        resting: int | None = None
        for step in range(count):
            index = (self._next + step) % count
            node = nodes[index]
            if node in tried:
                continue
            if node.failed_at is not None and node.failed_at + self._gracetime > now:
                resting = index if resting is None else resting
            elif node.doubtful:
                doubtful = index if doubtful is None else doubtful
            else:
                return self._take(index)
        if doubtful is not None:
            return self._take(doubtful)
        if resting is not None and self._last_resort:
            return self._take(resting)
        return None

    def _take(self, index: int) -> StaticNode:
        self._next = index + 1
        return self.nodes[index]

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Every key is, if there are nodes at all."""
        return bool(self._groups)

    def connect_failed(self, node: Node, now: float, *, timed_out: bool) -> None:
        """Let the node rest."""
        super().connect_failed(node, now, timed_out=timed_out)
        if isinstance(node, StaticNode):
            node.failed_at = now

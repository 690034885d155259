"""Forwarder ``to``: configured nodes in rotation (uWSGI: plugins/corerouter/cr_map.c)."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import gcd
from typing import ClassVar, Final

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.connect import Endpoint, is_name
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.router.routing.rotation import RotatingForwarder
from uwsgi_router.subscriptions.core_order import CoreOrder
from uwsgi_router.subscriptions.health import Ejections
from uwsgi_router.subscriptions.node import Node

# Turns of all nodes of a round, if they have weights.
_LONGEST_ROUND: Final = 1000


class StaticNode(UnannouncedNode):
    """Configured node, shown in stats."""

    __slots__ = ()


class LoadedNode(StaticNode):
    """Configured node that is chosen by its load."""

    __slots__ = ()

    def let_go(self) -> None:
        """Count out an exchange that held it."""
        self.reference -= 1
        self.recount()


class StaticForwarder(RotatingForwarder):
    """Forwarder that takes each configured address in turn.

    Args:
        addresses: as configured. A host name stands for every address it has: see :meth:`resolved`.
        gracetime: seconds; see :class:`RotatingForwarder`.
        last_resort: no fallback is configured.
        proto: what nodes speak whose addresses do not say.
        ejections: of nodes that fail requests.

    Attributes:
        names: the configured host names, for whoever resolves them.
    """

    weighted: ClassVar[bool] = True
    node_type: ClassVar[type[StaticNode]] = StaticNode

    def __init__(
        self,
        addresses: Sequence[str],
        gracetime: float,
        *,
        last_resort: bool,
        proto: NodeProto = "uwsgi",
        ejections: Ejections | None = None,
    ) -> None:
        super().__init__(gracetime, last_resort=last_resort, ejections=ejections)
        self._groups: list[list[StaticNode]] = []
        self.names: dict[int, InetAddress] = {}
        self._protos: list[NodeProto] = []
        for index, text in enumerate(addresses):
            named = parse_node(text)
            address = named.address
            self._protos.append(named.proto or proto)
            if isinstance(address, InetAddress) and is_name(address):
                self.names[index] = address
                self._groups.append([])
            else:
                self._groups.append(
                    [self.node_type(named.name, address, proto=self._protos[index])]
                )
        self._next = 0
        self.nodes: list[StaticNode] = []
        self._rotation: list[StaticNode] = []
        self._flatten()

    def __repr__(self) -> str:
        return f"<StaticForwarder {self.nodes!r}>"

    def resolved(self, index: int, endpoints: Iterable[Endpoint]) -> bool:
        """Take over the addresses that the index-th configured name has now; True if they changed.

        Nodes that stay keep their counters and marks.
        """
        port, proto = self.names[index].port, self._protos[index]
        addresses = [InetAddress(str(where[0]), port) for _family, where in endpoints]
        known = {node.address: node for node in self._groups[index]}
        if set(known) == set(addresses):
            return False
        for address, node in known.items():
            if address not in addresses:
                self._ejections.forget(node)
        fresh = [
            self.node_type(str(one), one, proto=proto) for one in addresses if one not in known
        ]
        for node in fresh:
            node.host = self.names[index].host
        known |= {node.address: node for node in fresh}
        self._groups[index] = [known[address] for address in addresses]
        self._flatten()
        return True

    def _flatten(self) -> None:
        self.nodes = [node for group in self._groups for node in group]
        for node in self.nodes:
            node.group = self
        self._rotation = _turns(self.nodes)

    def steered(self) -> Sequence[UnannouncedNode]:
        """Return the nodes that an operator sees and steers."""
        return self.nodes

    def weigh(self, node: UnannouncedNode, weight: int) -> bool:
        """Give a node a share of the requests; True if that is a change."""
        changed = super().weigh(node, weight)
        if changed:
            self._rotation = _turns(self.nodes)
        return changed

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the next healthy node; then a slow one; then, as a last resort, one in its grace time."""
        index = self._in_turn(self._rotation, self._next, tried, now)
        if index is None:
            return None
        self._next = index + 1
        return self._rotation[index]

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True for every key, if there are nodes at all."""
        return bool(self._groups)


class LeastLoadedForwarder(StaticForwarder):
    """Forwarder that takes the address with the fewest running requests for its weight (``to-algo = least``)."""

    node_type: ClassVar[type[StaticNode]] = LoadedNode

    def __init__(
        self,
        addresses: Sequence[str],
        gracetime: float,
        *,
        last_resort: bool,
        proto: NodeProto = "uwsgi",
        ejections: Ejections | None = None,
    ) -> None:
        super().__init__(
            addresses, gracetime, last_resort=last_resort, proto=proto, ejections=ejections
        )
        self._order: CoreOrder | None = None
        self._ordered: Sequence[StaticNode] = ()

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:
        """Return the least loaded of the nodes against which nothing speaks; then as :class:`StaticForwarder`."""
        if not self.nodes:
            return None
        self._ejections.sweep(now)
        order = self._order
        if order is None or self._ordered is not self._rotation:
            # Nodes or weights have changed.
            order = self._order = CoreOrder(self.nodes)
            self._ordered = self._rotation
        return order.choose(_Unfit(self, tried, now)) or super().choose(request, tried, now)


class _Unfit:
    """Nodes that are not chosen by their load: each is looked at only when it would be chosen."""

    __slots__ = ("_forwarder", "_now", "_tried")

    def __init__(self, forwarder: StaticForwarder, tried: Collection[Node], now: float) -> None:
        self._forwarder = forwarder
        self._tried = tried
        self._now = now

    def __contains__(self, node: object) -> bool:
        assert isinstance(node, StaticNode)
        return node in self._tried or not self._forwarder.is_fit(node, self._now)

    def __iter__(self) -> Iterator[Node]:
        return (node for node in self._forwarder.nodes if node in self)

    def __len__(self) -> int:
        # Never 0, which would mean that all may be chosen.
        return len(self._tried) + 1


def _turns(nodes: list[StaticNode]) -> list[StaticNode]:
    """Return nodes in the order of their turns: each as often as its weight says, spread over the round."""
    total = sum(node.weight for node in nodes)
    if total == len(nodes):
        return nodes
    # A round is bounded: what is in it is kept in memory.
    scale = (
        gcd(*(node.weight for node in nodes)) if total <= _LONGEST_ROUND else total / _LONGEST_ROUND
    )
    counts = [max(1, round(node.weight / scale)) for node in nodes]
    places = [
        ((turn + 0.5) / count, index) for index, count in enumerate(counts) for turn in range(count)
    ]
    return [nodes[index] for _place, index in sorted(places)]

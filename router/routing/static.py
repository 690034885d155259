"""Forwarder ``to``: configured nodes in rotation (uWSGI: plugins/corerouter/cr_map.c)."""

from collections.abc import Collection, Iterable, Sequence

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.net.connect import Endpoint, is_name
from uwsgi_router.router.routing.rotation import RotatingForwarder, UnannouncedNode
from uwsgi_router.subscriptions.node import Node


class StaticNode(UnannouncedNode):
    """Configured node, shown in stats."""

    __slots__ = ()


class StaticForwarder(RotatingForwarder):
    """Forwarder that takes each configured address in turn.

    Args:
        addresses: as configured. A host name stands for every address it has: see :meth:`resolved`.
        gracetime: seconds; see :class:`RotatingForwarder`.
        last_resort: no fallback is configured.
        proto: what nodes speak whose addresses do not say.

    Attributes:
        names: the configured host names, for whoever resolves them.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        gracetime: float,
        *,
        last_resort: bool,
        proto: NodeProto = "uwsgi",
    ) -> None:
        super().__init__(gracetime, last_resort=last_resort)
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
                self._groups.append([StaticNode(named.name, address, proto=self._protos[index])])
        self._next = 0
        self.nodes: list[StaticNode] = []
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
        self._groups[index] = [
            known.get(address) or StaticNode(str(address), address, proto=proto)
            for address in addresses
        ]
        self._flatten()
        return True

    def _flatten(self) -> None:
        self.nodes = [node for group in self._groups for node in group]

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the next healthy node; then a slow one; then, as a last resort, one in its grace time."""
        index = self._in_turn(self.nodes, self._next, tried, now)
        if index is None:
            return None
        self._next = index + 1
        return self.nodes[index]

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True for every key, if there are nodes at all."""
        return bool(self._groups)

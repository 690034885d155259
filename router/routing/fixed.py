"""Forwarder ``fallback`` and ``use-socket``: configured nodes in order (uWSGI: plugins/corerouter/corerouter.c)."""

from collections.abc import Collection, Sequence

from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.configured import ConfiguredForwarder, UnannouncedNode
from uwsgi_router.subscriptions.health import Ejections
from uwsgi_router.subscriptions.node import Node


class FixedForwarder(ConfiguredForwarder):
    """Forwarder that chooses the first node that this request has not tried yet.

    Args:
        addresses: in the order in which they are tried.
        proto: what nodes speak whose addresses do not say.
        ejections: of nodes that fail requests.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        proto: NodeProto = "uwsgi",
        ejections: Ejections | None = None,
    ) -> None:
        super().__init__(ejections)
        named = map(parse_node, addresses)
        self.nodes = [
            UnannouncedNode(one.name, one.address, proto=one.proto or proto) for one in named
        ]

    def __repr__(self) -> str:
        return f"<FixedForwarder {self.nodes!r}>"

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the first untried node; an ejected one only if there is no other."""
        for node in self.nodes:
            if not node.passed_over and node not in tried:
                return node
        return self._choose_ejected(tried, now)

    def _choose_ejected(self, tried: Collection[Node], now: float) -> Node | None:
        self._ejections.sweep(now)
        untried = [node for node in self.nodes if not node.drained and node not in tried]
        return next((node for node in untried if not node.ejected), untried[0] if untried else None)

    def steered(self) -> Sequence[UnannouncedNode]:
        """Return the nodes that an operator sees and steers."""
        return self.nodes

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True for every key, if there is a node."""
        return bool(self.nodes)

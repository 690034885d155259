"""Forwarder ``fallback`` and ``use-socket``: configured nodes in order (uWSGI: plugins/corerouter/corerouter.c)."""

from collections.abc import Collection, Sequence

from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node


class FixedForwarder(Forwarder):
    """Forwarder that chooses the first node that this request has not tried yet.

    Args:
        addresses: in the order in which they are tried.
        proto: what nodes speak whose addresses do not say.
    """

    def __init__(self, addresses: Sequence[str], proto: NodeProto = "uwsgi") -> None:
        super().__init__()
        named = map(parse_node, addresses)
        self.nodes = [Node(one.name, one.address, proto=one.proto or proto) for one in named]

    def __repr__(self) -> str:
        return f"<FixedForwarder {self.nodes!r}>"

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the first untried node."""
        for node in self.nodes:
            if node not in tried:
                return node
        return None

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True for every key, if there is a node."""
        return bool(self.nodes)

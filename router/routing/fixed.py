"""Forwarder ``fallback`` and ``use-socket``: configured nodes in order (uWSGI: plugins/corerouter/corerouter.c)."""

from collections.abc import Collection, Sequence

from uwsgi_router.protocol.address import parse_address
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node


class FixedForwarder(Forwarder):
    """Forwarder that chooses the first node that this request has not tried yet.

    Args:
        addresses: in the order in which they are tried.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__()
        self.nodes = [Node(text, parse_address(text)) for text in addresses]

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

"""HTTP back: nodes whose connections are kept for further requests."""

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class HttpBack(Back):
    """Back for nodes that speak HTTP/1.1."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(keeps_connections=True, sends_continue=True)

    def request_head(self, request: Request, node: Node, collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return request line and fields."""
        return request.head_for_http(collected)

    def is_opaque(self, request: Request) -> bool:
        """Return True for protocols that only look like HTTP."""
        return request.raw

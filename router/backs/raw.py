"""Raw back: nodes that get the client's bytes, behind a PROXY header if they want one."""

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class RawBack(Back):
    """Back for nodes behind a raw router, whatever they speak."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(half_closes=True, relays=True)

    def request_head(self, request: Request, node: Node, collected: int | None = None) -> bytes:
        """Return what says who the client is (a PROXY header), or nothing."""
        return request.packet_for((node.modifier1, node.modifier2), collected)

    def is_opaque(self, request: Request) -> bool:  # noqa: ARG002
        """Return True."""
        return True

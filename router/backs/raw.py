"""Raw back: nodes that get the client's bytes and nothing else."""

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class RawBack(Back):
    """Back for nodes behind a raw router, whatever they speak."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(half_closes=True, may_say_nothing=True)

    def request_head(self, request: Request, node: Node, collected: int | None = None) -> bytes:  # noqa: ARG002
        """Return nothing."""
        return b""

    def is_opaque(self, request: Request) -> bool:  # noqa: ARG002
        """Return True."""
        return True

"""uwsgi back: one packet per connection; the answer ends with the connection."""

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class UwsgiBack(Back):
    """Back for nodes that speak the uwsgi protocol.

    Args:
        opaque: clients speak it too: answers pass untouched.
        chunked_input: nodes read chunks themselves (``http-chunked-input``, ``uwsgi.chunked_read()``).
    """

    __slots__ = ("_chunked_input", "_opaque")

    def __init__(self, *, opaque: bool, chunked_input: bool = False) -> None:
        super().__init__(half_closes=True, answers_like_cgi=True, packets=True)
        self._opaque = opaque
        self._chunked_input = chunked_input

    def request_head(self, request: Request, node: Node, collected: int | None = None) -> bytes:
        """Return the packet."""
        return request.packet_for((node.modifier1, node.modifier2), collected)

    def needs_length(self, request: Request) -> bool:
        """Return True for chunks, unless nodes read them: they go by CONTENT_LENGTH."""
        return request.chunked and not self._chunked_input

    def is_opaque(self, request: Request) -> bool:
        """Return True for clients that speak uwsgi, and for protocols that only look like HTTP."""
        return self._opaque or request.raw

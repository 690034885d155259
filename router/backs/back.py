"""What the engine asks about a node's protocol."""

from abc import ABC, abstractmethod

from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class Back(ABC):
    """How requests are said to a node. No I/O.

    Attributes:
        keeps_connections: a connection serves one request after the other.
        half_closes: the node understands that a client has said all it will and still waits for the answer.
        answers_like_cgi: an answer may begin with a field instead of a status line.
        sends_continue: the node itself says 100 to a client that waits for it.
    """

    keeps_connections = False
    half_closes = False
    answers_like_cgi = False
    sends_continue = False

    @abstractmethod
    def request_head(self, request: Request, node: Node) -> bytes:
        """Return the first bytes of a request.

        Raises:
            Failure: if the request can't be said in this protocol.
        """

    def needs_length(self, request: Request) -> bool:  # noqa: ARG002
        """True if the body has to be read whole because its length must be told beforehand."""
        return False

    def is_opaque(self, request: Request) -> bool:  # noqa: ARG002
        """True if the answer passes as it comes, and ends with the connection."""
        return False

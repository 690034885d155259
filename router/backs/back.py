"""Back base class: protocols that nodes speak, as the proxy asks about them."""

from abc import abstractmethod

from uwsgi_router.router.core.request import Request
from uwsgi_router.subscriptions.node import Node


class Back:
    """Back: writes requests for nodes of one protocol. No I/O.

    Attributes:
        keeps_connections: a connection serves one request after the other.
        half_closes: the node understands that a client has said all it will and still waits for the answer.
        answers_like_cgi: an answer may begin with a field instead of a status line.
        sends_continue: the node itself says 100 to a client that waits for it.
        packets: a request begins with a packet, whose size nodes limit.
        relays: a node's connection belongs to one client's: both pass on all that the other one says, to its end.
    """

    __slots__ = (
        "answers_like_cgi",
        "half_closes",
        "keeps_connections",
        "packets",
        "relays",
        "sends_continue",
    )

    def __init__(
        self,
        *,
        keeps_connections: bool = False,
        half_closes: bool = False,
        answers_like_cgi: bool = False,
        sends_continue: bool = False,
        packets: bool = False,
        relays: bool = False,
    ) -> None:
        self.keeps_connections = keeps_connections
        self.half_closes = half_closes
        self.answers_like_cgi = answers_like_cgi
        self.sends_continue = sends_continue
        self.packets = packets
        self.relays = relays

    @abstractmethod
    def request_head(self, request: Request, node: Node, collected: int | None = None) -> bytes:
        """Return the first bytes of a request.

        Args:
            request: what is said.
            node: to whom.
            collected: bytes of the body, if it was read whole before; None: it is framed as it came.

        Raises:
            Failure: if the request can't be said in this protocol.
        """

    def needs_length(self, request: Request) -> bool:  # noqa: ARG002
        """Return True if the body has to be spooled because its length must be told beforehand."""
        return False

    def is_opaque(self, request: Request) -> bool:  # noqa: ARG002
        """Return True if the answer passes as it comes, and ends with the connection."""
        return False

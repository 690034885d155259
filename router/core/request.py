"""Requests in neutral form: what proxy and forwarders need, whatever the client spoke."""

from abc import abstractmethod
from typing import Final

from uwsgi_router.protocol.key import key_forms

# Sent again after a connection ended without an answer (RFC 9110 section 9.2.1: safe methods).
REPEATABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
# Sent again besides after a connection that had been kept (RFC 9110 section 9.2.2: idempotent methods).
REPEATABLE_IF_KEPT: Final = REPEATABLE | {b"PUT", b"DELETE"}


class Request:
    """Request, never changed after it was parsed.

    A front makes a subclass of its own, which knows how to write the request for a node.

    Attributes:
        key: the routing key as it came; never empty.
        key_is_host: the key is a host: caches and patterns know it in lower case and without its port, too.
        method: as received, b"" if the client named none.
        content_length: bytes of body announced; 0 if none were.
        chunked: the body comes in chunks, its length is not known.
        client: text of the client's address (REMOTE_ADDR, else the peer), for iphash and the log.
        path: PATH_INFO, for mountpoints.
        raw: the protocol only looks like HTTP (RTSP, Icecast's SOURCE): after the head bytes pass as they come.
    """

    __slots__ = (
        "chunked",
        "client",
        "content_length",
        "key",
        "key_is_host",
        "method",
        "path",
        "raw",
    )

    def __init__(
        self,
        *,
        key: bytes,
        key_is_host: bool,
        method: bytes,
        content_length: int,
        client: bytes,
        path: bytes,
        chunked: bool = False,
        raw: bool = False,
    ) -> None:
        self.key = key
        self.key_is_host = key_is_host
        self.method = method
        self.content_length = content_length
        self.client = client
        self.path = path
        self.chunked = chunked
        self.raw = raw

    @abstractmethod
    def may_switch(self, *, http: bool) -> bool:
        """Return True if a node is asked to go on with something else than HTTP: then its 101 opens a tunnel.

        Args:
            http: the node speaks HTTP; else uwsgi.
        """

    @abstractmethod
    def packet_for(self, modifiers: tuple[int, int], collected: int | None = None) -> bytes:
        """Return the packet for a uwsgi node with these modifiers, unless the configuration wants others.

        Args:
            modifiers: the node's.
            collected: bytes of the body, if it was read whole before; None: it is framed as it came.

        Raises:
            Failure: if the request fits none.
        """

    @abstractmethod
    def head_for_http(self, collected: int | None = None) -> bytes:
        """Return the head for a node that speaks HTTP.

        Args:
            collected: as for :meth:`packet_for`.

        Raises:
            Failure: if there is none that means the same.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes of the head as received."""

    def __repr__(self) -> str:
        return f"<Request {self.method!r} key={self.key!r} body={self.content_length}>"

    @property
    def repeatable(self) -> bool:
        """True if it may be sent again when its connection ends without an answer."""
        return self.method in REPEATABLE and not self.has_body

    @property
    def has_body(self) -> bool:
        """True if bytes of a body follow the head."""
        return self.content_length > 0 or self.chunked

    def keys(self) -> list[bytes]:
        """Return the keys to look up, in order: as received, normalised, and without the port."""
        if not self.key_is_host:
            return [self.key]
        return list(dict.fromkeys((self.key, *key_forms(self.key))))

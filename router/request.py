"""The neutral request head: what the engine and the forwarders need to know, whatever the client spoke."""

# Sent again after a connection ended without an answer (RFC 9110 section 9.2.1: safe methods).
REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})


class Request:
    """One request.

    Attributes:
        key: the routing key as it came; never empty.
        key_is_host: the key is a host: it is also looked up in lower case and without its port.
        method: as received, b"" if the client named none.
        content_length: bytes of body announced; 0 if none were.
        client: text of the client's address (REMOTE_ADDR, else the peer), for iphash and the log.
        path: PATH_INFO, for mountpoints.
        packet: header and variables as received.
        rest: bytes that arrived behind the packet.
        found: what the forwarder found out for this request, so that retries go on from there; its own business.
    """

    __slots__ = (
        "client",
        "content_length",
        "found",
        "key",
        "key_is_host",
        "method",
        "packet",
        "path",
        "rest",
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
        packet: bytes,
        rest: bytes,
    ) -> None:
        self.key = key
        self.key_is_host = key_is_host
        self.method = method
        self.content_length = content_length
        self.client = client
        self.path = path
        self.packet = packet
        self.rest = rest
        self.found: object = None

    def __repr__(self) -> str:
        return f"<Request {self.method!r} key={self.key!r} body={self.content_length}>"

    @property
    def repeatable(self) -> bool:
        """True if it may be sent again when its connection ends without an answer."""
        return not self.content_length and self.method in REPEATABLE

    def keys(self) -> list[bytes]:
        """Return the keys to look up, in order: as received, normalised, and without the port."""
        if not self.key_is_host:
            return [self.key]
        return list(dict.fromkeys((self.key, *normal_forms(self.key))))


def normal_forms(host: bytes) -> tuple[bytes, bytes]:
    """Return a host in lower case without a final dot, and the same without its port.

    An IPv6 host keeps its brackets. Source: DESIGN rule "Keys"; uWSGI compares byte for byte (routers-core sheet 2.2).
    """
    lowered = host.lower()
    name, colon, port = lowered.rpartition(b":")
    if (
        not colon
        or not port.isdigit()
        or name.endswith(b":")
        or (b":" in name and not name.endswith(b"]"))
    ):
        bare = lowered.removesuffix(b".")
        return bare, bare
    bare = name.removesuffix(b".")
    return bare + b":" + port, bare

"""Facts of a TLS connection: what its handshake has settled."""

from typing import Final

#: Of a name for which no certificate of a client is asked for.
NO_POLICY: Final = ""


class TlsFacts:
    """Facts of one TLS connection; shared by its requests, and never changed.

    Attributes:
        server_name: that the client asked for, in lower case; None: none.
        version: as ``TLSv1.3``.
        resumed: the session of an earlier connection goes on.
        client_certificate: of the client, verified, in DER; b"": it has none.
        policy: which clients the chosen name is for: names with different policies want different certificates of
            their clients, and a connection that was made for one is none for the other. ``NO_POLICY``: all.
        destination: what the client had connected to, if a proxy has told it ahead of the handshake.
    """

    __slots__ = (
        "client_certificate",
        "destination",
        "policy",
        "resumed",
        "server_name",
        "version",
    )

    def __init__(
        self,
        server_name: str | None,
        version: str,
        *,
        resumed: bool,
        client_certificate: bytes = b"",
        policy: str = NO_POLICY,
        destination: tuple[str, int] | None = None,
    ) -> None:
        self.server_name = server_name
        self.version = version
        self.resumed = resumed
        self.client_certificate = client_certificate
        self.policy = policy
        self.destination = destination

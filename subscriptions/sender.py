"""Sender of a datagram: address and credentials, as far as the kernel knows them."""

from dataclasses import dataclass

from uwsgi_router.subscriptions.node_address import IPAddress, ip_of


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials of the process that sent a datagram over a UNIX socket.

    Attributes:
        pid: its process id, 0 if it is in a name space that we can't see.
        uid: its user.
        gid: its group.
    """

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Sender:
    """Sender of a datagram.

    Attributes:
        name: what to call it in a log line.
        source: its IP address as text, None over a UNIX socket.
        credentials: None over UDP, and if the kernel has none that mean anything here.
    """

    name: str
    source: str | None = None
    credentials: Credentials | None = None

    @property
    def ip(self) -> IPAddress | None:
        """IP address, None over a UNIX socket."""
        return None if self.source is None else ip_of(self.source)

    @property
    def is_local(self) -> bool:
        """True if it is on this machine: UNIX socket or loopback."""
        ip = self.ip
        return self.source is None or (ip is not None and ip.is_loopback)

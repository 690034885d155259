"""Subscription servers: where they are, and sending them datagrams.

A name may stand for several servers (headless services), and for others later: it is resolved again for every round.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import (
    AddressError,
    InetAddress,
    UnixAddress,
    is_ip,
    parse_datagram_address,
)
from uwsgi_router.subscriptions.client.errors import SubscribeError

SockAddr = tuple[str, int] | tuple[str, int, int, int] | bytes

# What uWSGI's subscription servers have on most machines has no well-known number; only for the message.
_EXAMPLE_PORT: Final = 3032


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One address of a server.

    Attributes:
        family: AF_INET, AF_INET6 or AF_UNIX.
        sockaddr: what ``connect`` takes.
    """

    family: int
    sockaddr: SockAddr

    def __str__(self) -> str:
        if isinstance(self.sockaddr, bytes):
            return str(UnixAddress(self.sockaddr))
        return str(InetAddress(self.sockaddr[0], self.sockaddr[1]))

    def local_address(self) -> str | None:
        """Return the address of this machine on the route to it, None for a UNIX socket.

        Raises:
            OSError: if there is no route.
        """
        if isinstance(self.sockaddr, bytes):
            return None
        with socket.socket(self.family, socket.SOCK_DGRAM) as sock:
            # Sends nothing: the kernel only chooses the route.
            sock.connect(self.sockaddr)
            host: str = sock.getsockname()[0]
        return host

    def is_this_machine(self) -> bool:
        """True if datagrams to it don't leave the machine (or the container)."""
        if isinstance(self.sockaddr, bytes):
            return True
        try:
            return self.local_address() == self.sockaddr[0].partition("%")[0]
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Server:
    """A subscription server as the user names it.

    Attributes:
        address: of its datagram socket.
    """

    address: InetAddress | UnixAddress

    def __str__(self) -> str:
        return str(self.address)

    @classmethod
    def parse(cls, text: str) -> "Server":
        """Read ``host:port``, ``[v6]:port`` or a path.

        Raises:
            SubscribeError: if it is something else.
        """
        if ":" not in text and "/" not in text:
            raise SubscribeError(
                f"server {text!r} has no port: write {text or 'HOST'}:{_EXAMPLE_PORT}, or a UNIX socket with a slash"
            )
        scheme, slashes, rest = text.partition("://")
        if slashes:
            raise SubscribeError(
                f"server {text!r} is reached by datagrams, not by {scheme}: write {rest}"
            )
        try:
            address = parse_datagram_address(text)
        except AddressError as exc:
            raise SubscribeError(f"server {text!r}: {exc}") from None
        if isinstance(address, InetAddress):
            if not address.port:
                raise SubscribeError(f"server {text!r}: nobody can be reached at port 0")
            if address.is_every_interface:
                raise SubscribeError(
                    f"server {text!r} is where to listen: write where it is found, 127.0.0.1:{address.port} here"
                )
        return cls(address)

    @property
    def is_local(self) -> bool:
        """True if it is certainly on this machine: a UNIX socket or a loopback address."""
        if isinstance(self.address, UnixAddress):
            return True
        host = self.address.host
        return host == "localhost" or (is_ip(host) and is_loopback(host))

    def resolve(self) -> tuple[ServerAddress, ...]:
        """Return all its addresses; blocks while a name is looked up.

        Raises:
            OSError: if the name has none.
        """
        if isinstance(self.address, UnixAddress):
            return (ServerAddress(socket.AF_UNIX, self.address.path),)
        try:
            found = socket.getaddrinfo(
                self.address.host,
                self.address.port,
                type=socket.SOCK_DGRAM,
                proto=socket.IPPROTO_UDP,
            )
        except UnicodeError as exc:
            raise OSError(f"{self.address.host} is no host name") from exc
        targets = [ServerAddress(int(family), sockaddr) for family, _, _, _, sockaddr in found]  # type: ignore[arg-type]
        return tuple(dict.fromkeys(targets))


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8, ::1 and the name localhost."""
    return host in {"localhost", "::1"} or (host.startswith("127.") and is_ip(host))


class Sockets:
    """Sends datagrams, over one connected socket for each UDP target.

    Connected, because then the kernel passes on what the target's machine says when nobody listens there.
    """

    def __init__(self) -> None:
        self._open: dict[ServerAddress, socket.socket] = {}

    def send(self, target: ServerAddress, datagram: bytes) -> OSError | None:
        """Send; return what went wrong. It is tried twice, because an error may be about the datagram before."""
        trouble = self._try(target, datagram)
        if trouble is not None and target.family != socket.AF_UNIX:
            again = self._try(target, datagram)
            # "Nobody listens" was true a moment ago; the second datagram is on its way all the same.
            return again or trouble
        return trouble

    def _try(self, target: ServerAddress, datagram: bytes) -> OSError | None:
        try:
            sock = self._open.get(target)
            if sock is None:
                sock = socket.socket(target.family, socket.SOCK_DGRAM)
                self._open[target] = sock
                # A full queue must not hold up anybody: the next announce will fit.
                sock.setblocking(False)
                sock.connect(target.sockaddr)
            sock.send(datagram)
        except OSError as exc:
            self._close(target)
            return exc
        if target.family == socket.AF_UNIX:
            # A restarted server has made a new socket of the same name.
            self._close(target)
        return None

    def keep(self, targets: Iterable[ServerAddress]) -> None:
        """Close the sockets of all other targets."""
        for target in self._open.keys() - set(targets):
            self._close(target)

    def close(self) -> None:
        """Close all."""
        self.keep(())

    def _close(self, target: ServerAddress) -> None:
        sock = self._open.pop(target, None)
        if sock is not None:
            sock.close()

"""Own addresses of this program: a node there would make a loop of requests."""

import os
import socket
from collections.abc import Iterable

from uwsgi_router.protocol.address import Address, InetAddress, UnixAddress
from uwsgi_router.router.net.connect import Endpoint, ip_endpoint
from uwsgi_router.subscriptions.node_address import IPAddress, ip_of

#: Names that mean this machine without any look-up.
_THIS_MACHINE = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})


class OwnAddresses:
    """Set of own addresses: tells whether an address leads back to one of these sockets.

    Args:
        sockets: bound ones, of whatever family and kind.
    """

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._inet: set[tuple[IPAddress, int]] = set()
        # Ports that are listened to on every interface.
        self._everywhere: set[int] = set()
        self._abstract: set[bytes] = set()
        self._files: set[tuple[int, int]] = set()
        for sock in sockets:
            self._add(sock)

    def __repr__(self) -> str:
        kinds = self._inet, self._everywhere, self._abstract, self._files
        return f"<OwnAddresses {sum(len(kind) for kind in kinds)}>"

    def __contains__(self, address: Address) -> bool:
        if isinstance(address, UnixAddress):
            if address.is_abstract:
                return address.path in self._abstract
            return _identity(address.path) in self._files
        if _means_here(address.host):
            return address.port in self._everywhere or any(
                port == address.port and ip.is_loopback for ip, port in self._inet
            )
        ip = ip_of(address.host)
        if ip is None:
            return False
        if ip.is_unspecified:
            ip = ip_of("127.0.0.1" if ip.version == 4 else "::1")
            assert ip is not None
        if (ip, address.port) in self._inet:
            return True
        return address.port in self._everywhere and _is_here(ip)

    def _add(self, sock: socket.socket) -> None:
        name = sock.getsockname()
        if isinstance(name, tuple):
            ip = ip_of(name[0])
            assert ip is not None
            if ip.is_unspecified:
                self._everywhere.add(name[1])
            else:
                self._inet.add((ip, name[1]))
            return
        path = os.fsencode(name)
        if path.startswith(b"\0"):
            self._abstract.add(path)
            return
        identity = _identity(path)
        if identity is not None:
            self._files.add(identity)


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _means_here(host: str) -> bool:
    """Return True for names that mean this machine without any look-up."""
    return host.lower().removesuffix(".") in _THIS_MACHINE


def _is_here(ip: IPAddress) -> bool:
    """Return True if ``ip`` is an address of this machine.

    The route to an address of one's own begins at that address.
    """
    if ip.is_loopback:
        return True
    try:
        return ip_of(local_address(ip_endpoint(str(ip), 9))) == ip
    except OSError:
        return False


def local_address(endpoint: Endpoint) -> str:
    """Return this machine's IP address on the way to another; nothing is sent to find out.

    Raises:
        OSError: there is no way.
    """
    family, where = endpoint
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(where)
        host: str = probe.getsockname()[0]
    return host


def is_this_machine(address: InetAddress) -> bool:
    """Return True if a host, as written, is this machine; names are not looked up."""
    if _means_here(address.host):
        return True
    ip = ip_of(address.host)
    return ip is not None and (ip.is_unspecified or _is_here(ip))

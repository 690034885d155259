"""Connects to nodes: begun without blocking, and sorted by what their failures mean.

UNIX sockets answer ``connect`` at once, TCP later; both kinds of failure mean the same here (uWSGI treated the
immediate ones as the end of the request: plugins/corerouter/cr.h).
"""

import errno
import functools
import os
import socket
import stat
from typing import Final

from uwsgi_router.protocol.address import Address, InetAddress, UnixAddress, is_ip

Endpoint = tuple[socket.AddressFamily, "bytes | tuple[str, int]"]

_KIND: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

#: The node is alive, its backlog is full (EAGAIN from a UNIX socket).
BUSY = frozenset({errno.EAGAIN})
#: This machine or process has run out of something: says nothing about the node.
SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


@functools.lru_cache(maxsize=4096)
def endpoint(address: Address) -> Endpoint | None:
    """Return what ``socket`` and ``connect`` need, or None if a host name must be resolved first.

    An empty host, or the address of every interface, is this machine, as uWSGI reads it.
    """
    if isinstance(address, UnixAddress):
        return socket.AF_UNIX, address.path
    if address.host in {"", "0.0.0.0"}:
        return socket.AF_INET, ("127.0.0.1", address.port)
    if not is_ip(address.host):
        return None
    return ip_endpoint(address.host, address.port)


def ip_endpoint(host: str, port: int) -> Endpoint:
    """Return the endpoint of a literal IP address."""
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port)


def to_socket(sock: socket.SocketType) -> socket.socket:
    """Wrap a bare ``_socket.socket`` in a non-blocking ``socket.socket``, which asyncio and ``with`` need."""
    made = socket.socket(fileno=sock.detach())
    made.setblocking(False)
    return made


def begin(target: Endpoint, owner: int | None = None) -> tuple[socket.socket, bool]:
    """Do as :func:`begin_bare`, with a socket that asyncio and ``with`` take."""
    sock, connected = begin_bare(target, owner)
    return to_socket(sock), connected


def begin_bare(target: Endpoint, owner: int | None = None) -> tuple[socket.SocketType, bool]:
    """Create a non-blocking socket and begin to connect it.

    Args:
        target: where.
        owner: the user to whom a UNIX socket there must belong; None: to anybody.

    Returns:
        The socket, and whether it is connected already; if not, it becomes writable when the outcome is known.

    Raises:
        OSError: at once, from the kernel; ``BUSY`` and ``SHORTAGE`` sort out what says nothing about the node.
    """
    family, where = target
    # The type that socket.socket extends. What that adds (enum members, files) costs 2 us.
    sock = socket.SocketType(family, _KIND)
    try:
        if owner is not None and isinstance(where, bytes):
            code = _connect_to_owner(sock, where, owner)
        else:
            code = sock.connect_ex(where)
        if code == 0:
            return sock, True
        if code != errno.EINPROGRESS:
            raise OSError(code, os.strerror(code))
        # Relayed bytes come in pieces; Nagle's algorithm would hold back each second one for a delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock, False


def _connect_to_owner(sock: socket.SocketType, path: bytes, owner: int) -> int:
    """Connect to the socket at ``path`` if it belongs to ``owner``; return an errno, or 0.

    Whoever may change the path could lay a link to another user's socket there after any look at
    it. So the file is held first, looked at, and then connected to, whatever the path says by then.

    Raises:
        OSError: there is nothing, or somebody else's.
    """
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(held)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != owner:
            reason = f"what is there belongs to user {status.st_uid}, not to the tenant {owner}"
            if status.st_uid == owner:
                reason = "what is there is no socket"
            raise PermissionError(errno.EACCES, reason)
        return sock.connect_ex(f"/proc/self/fd/{held}")
    finally:
        os.close(held)


def outcome(sock: socket.SocketType) -> None:
    """Return if ``sock`` has connected; raise the kernel's reason if not.

    Raises:
        OSError: with the kernel's reason if not.
    """
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def is_name(address: Address) -> bool:
    """Return True if ``address`` holds a host name."""
    return isinstance(address, InetAddress) and endpoint(address) is None

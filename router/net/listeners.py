"""Listeners: sockets bound to the addresses of the configuration.

Forms of addresses (uWSGI: core/socket.c; docs/compatibility.md has the differences):

* ``:port`` is every IPv4 interface, as in uWSGI. Who may connect to a fastrouter is trusted, so a
  drop-in must not open the port on IPv6 too. ``[::]:port`` is every interface of both (and IPv4
  only where the kernel has no IPv6).
* A host name is every address that it resolves to; uWSGI takes the first IPv4 one.
* An address that an inherited socket is bound to takes that socket instead of binding.
* A socket file of a dead process is replaced; a living one's is not.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from uwsgi_router.protocol.address import (
    Address,
    AddressError,
    InetAddress,
    InheritedAddress,
    SharedSocketAddress,
    UnixAddress,
    parse_datagram_address,
    parse_listen_address,
)
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited, SockAddr, SocketRequest, adopt
from uwsgi_router.router.net.binding import bind, explain
from uwsgi_router.router.net.blocking_look_up import look_up_now
from uwsgi_router.router.net.unix_file import SocketFile, SocketFileError

log = logging.getLogger("uwsgi-router.listen")

_VERBS = {socket.SOCK_STREAM: "listen on", socket.SOCK_DGRAM: "receive datagrams on"}


class BindError(StartError):
    """Error: an address cannot be listened on; ``str()`` says which, why and what to do."""


@dataclass(slots=True)
class BoundSocket:
    """Bound socket, which listens if it is for streams; non-blocking.

    Attributes:
        sock: the socket.
        name: the address as configured, which stats and logs show.
        inherited: True if another process opened it, so that it lives on when we close it.
        file: the socket file that we made, if any.
        on_replaced: told of the new socket and the old one when that has been replaced; its reader reads the new one.
        shared_by: those that have duplicates of it.
        second: for UDP perhaps a second socket at the same address (:mod:`uwsgi_router.router.net.lanes`).
        held: the master process has opened it, and holds its file.
    """

    sock: socket.socket
    name: str
    inherited: bool = False
    file: SocketFile | None = None
    second: socket.socket | None = None
    on_replaced: Callable[[socket.socket, socket.socket], None] | None = None
    shared_by: "list[BoundSocket]" = field(default_factory=list)
    held: bool = False

    @property
    def has_own_file(self) -> bool:
        """True if it has a socket file that is this program's."""
        return self.file is not None or (
            self.held and not self.inherited and bool(show_file(self.sock))
        )

    @property
    def can_be_replaced(self) -> bool:
        """True if whoever reads it can go on with another socket."""
        return self.on_replaced is not None or bool(self.shared_by)

    def replace(self, sock: socket.socket, file: SocketFile | None) -> None:
        """Go on with another socket of the same address, after what waits in this one."""
        old, self.sock, self.file = self.sock, sock, file
        if self.on_replaced is not None:
            self.on_replaced(sock, old)
        for duplicate in self.shared_by:
            duplicate.replace(sock.dup(), None)
        old.close()

    @property
    def address(self) -> str:
        """The address that it is really bound to: the port that the kernel chose for ``:0``."""
        return show_sockaddr(self.sock.getsockname())

    @property
    def port(self) -> bytes:
        """The TCP port that it is really bound to, decimal; b"" for a UNIX socket."""
        sockaddr = self.sock.getsockname()
        return b"%d" % sockaddr[1] if isinstance(sockaddr, tuple) else b""

    def unlink(self) -> None:
        """Remove our socket file, if it still is ours."""
        if self.file is not None:
            self.file.remove()
            self.file = None

    def close(self) -> None:
        """Close it and remove its file."""
        self.unlink()
        self.sock.close()
        if self.second is not None:
            self.second.close()


def show_file(sock: socket.socket) -> bytes:
    """Return the path of a UNIX socket's file; b"" if it has none."""
    if sock.family != socket.AF_UNIX:
        return b""
    path = os.fsencode(sock.getsockname())
    return b"" if path.startswith(b"\0") else path


def show_sockaddr(sockaddr: SockAddr) -> str:
    """Write a socket address of any family as operators write it."""
    if isinstance(sockaddr, tuple):
        return str(InetAddress(sockaddr[0], sockaddr[1]))
    if isinstance(sockaddr, bytes):
        return str(UnixAddress(sockaddr))
    return sockaddr


def bind_shared(process: ProcessConfig, inherited: Inherited) -> list[BoundSocket]:
    """Bind the ``shared-socket`` lines, in order; ``=N`` takes the N-th.

    Whoever asks for ``=N`` gets a duplicate, so these stay open until their owner closes them.

    Raises:
        BindError: if one cannot be bound; the others are closed then.
    """
    shared: list[BoundSocket] = []
    try:
        for text in process.shared_sockets:
            first, *others = bind_stream(text, process, inherited)
            for other in others:
                other.close()
            shared.append(first)
    except BindError:
        for bound in shared:
            bound.close()
        raise
    return shared


def bind_stream(
    text: str,
    process: ProcessConfig,
    inherited: Inherited,
    shared: Sequence[BoundSocket] = (),
    *,
    server_first: bool = False,
    workers: int = 1,
    targets: Sequence[tuple[int, SockAddr]] | None = None,
) -> list[BoundSocket]:
    """Listen on the stream address ``text``.

    Args:
        text: as in the configuration.
        process: backlog, socket options, access of socket files.
        inherited: sockets that are already open.
        shared: what :func:`bind_shared` made.
        server_first: True if we may write before the client does (stats): TCP_DEFER_ACCEPT would
            delay that.
        workers: number of processes that accept there, if somebody opens the sockets for all of them.
        targets: what the address stands for, if that is known already.

    Returns:
        One socket, or several if a host name has several addresses; all TCP ones with TCP_NODELAY,
        which accepted connections take over.

    Raises:
        BindError: with address, reason and remedy.
    """
    try:
        address = parse_listen_address(text)
    except AddressError as exc:
        raise BindError(f"cannot listen on {text}: {exc}") from exc
    if isinstance(address, SharedSocketAddress):
        return [_share(text, address.index, shared)]
    found = given(
        socket.SOCK_STREAM,
        text,
        process,
        inherited,
        address,
        server_first=server_first,
        workers=workers,
    )
    if found is not None:
        return found
    if isinstance(address, InheritedAddress):
        return [_take_descriptor(text, address.fd, process, inherited)]
    return _bind(
        text,
        address,
        socket.SOCK_STREAM,
        process,
        inherited,
        defer=process.defer_accept and not server_first,
        targets=targets,
    )


def bind_datagram(
    text: str,
    process: ProcessConfig,
    inherited: Inherited,
    *,
    lanes: bool = False,
    targets: Sequence[tuple[int, SockAddr]] | None = None,
) -> list[BoundSocket]:
    """Bind the datagram address ``text``: UDP, UNIX, a multicast group (joined), broadcast.

    Args:
        text: as in the configuration.
        process: socket options.
        inherited: sockets that are already open.
        lanes: whoever opens it for us, if somebody does, opens a second lane too.
        targets: what the address stands for, if that is known already.

    Raises:
        BindError: with address, reason and remedy.
    """
    try:
        address = parse_datagram_address(text)
    except AddressError as exc:
        raise BindError(f"cannot receive datagrams on {text}: {exc}") from exc
    found = given(socket.SOCK_DGRAM, text, process, inherited, address, lanes=lanes)
    if found is not None:
        return found
    return _bind(text, address, socket.SOCK_DGRAM, process, inherited, defer=False, targets=targets)


#: Fields of the process's configuration that say how sockets are opened.
OPTIONS: Final = (
    *("listen", "chmod_socket", "chown_socket", "defer_accept", "reuse_port", "freebind"),
    *("so_keepalive", "so_sndbuf", "so_rcvbuf"),
)


def given(
    kind: socket.SocketKind,
    text: str,
    process: ProcessConfig,
    inherited: Inherited,
    address: Address | InheritedAddress | None = None,
    *,
    server_first: bool = False,
    lanes: bool = False,
    workers: int = 1,
) -> list[BoundSocket] | None:
    """Return what the master process has opened for us; None: there is no master."""
    if not inherited.asks:
        return None
    # Here, where nobody else waits for a name.
    targets = _targets(text, address, kind) if isinstance(address, InetAddress) else None
    options = {name: getattr(process, name) for name in OPTIONS}
    try:
        found = inherited.given(
            SocketRequest(kind, text, options, server_first, lanes, workers, targets)
        )
    except ValueError as exc:
        raise BindError(str(exc)) from exc
    except OSError as exc:
        raise BindError(f"cannot {_VERBS[kind]} {text}: the master process is gone") from exc
    if found is None:
        return None
    return [
        BoundSocket(one.sock, one.name, inherited=not one.own, second=one.second, held=True)
        for one in found
    ]


def _share(text: str, index: int, shared: Sequence[BoundSocket]) -> BoundSocket:
    if index >= len(shared):
        raise BindError(
            f"cannot listen on {text}: there are {len(shared)} shared-socket lines, counted from 0"
        )
    # A duplicate: two routers on one descriptor would take each other's place in the event loop.
    source = shared[index]
    duplicate = BoundSocket(source.sock.dup(), source.name, inherited=source.inherited)
    source.shared_by.append(duplicate)
    return duplicate


def _take_descriptor(
    text: str, fd: int, process: ProcessConfig, inherited: Inherited
) -> BoundSocket:
    try:
        sock = inherited.by_fd(fd) or adopt(fd)
    except OSError as exc:
        raise BindError(
            f"cannot listen on {text}: descriptor {fd} is not an open socket ({exc.strerror})"
        ) from exc
    if sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise BindError(f"cannot listen on {text}: descriptor {fd} is not a stream socket")
    return BoundSocket(listening(sock, text, process), text, inherited=True)


def listening(sock: socket.socket, text: str, process: ProcessConfig) -> socket.socket:
    """Make an inherited stream socket ready: it may be bound without listening yet."""
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.listen(process.listen)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as exc:
        raise BindError(
            f"cannot listen on {text}: the inherited socket does not listen ({exc.strerror})"
        ) from exc
    return sock


def _bind(
    text: str,
    address: Address,
    kind: socket.SocketKind,
    process: ProcessConfig,
    inherited: Inherited,
    *,
    defer: bool,
    targets: Sequence[tuple[int, SockAddr]] | None = None,
) -> list[BoundSocket]:
    """Use what was inherited for ``address``, or else bind all that it stands for."""
    if targets is None:
        targets = _targets(text, address, kind)
    taken = [
        sock
        for family, sockaddr in targets
        for sock in inherited.by_address(family, kind, sockaddr)
    ]
    if taken:
        if kind == socket.SOCK_STREAM:
            taken = [listening(sock, text, process) for sock in taken]
        return [BoundSocket(sock, text, inherited=True) for sock in taken]
    bound: list[BoundSocket] = []
    missing: OSError | None = None
    try:
        for family, sockaddr in targets:
            try:
                sock, file = bind(family, kind, sockaddr, process, defer=defer)
                bound.append(BoundSocket(sock, text, file=file))
            except OSError as exc:
                # A name may have an IPv6 address on a host without IPv6: bind what exists.
                if exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                missing = exc
        if missing is not None and not bound:
            raise missing
    except (OSError, SocketFileError) as exc:
        for one in bound:
            one.close()
        reason = explain(exc, address) if isinstance(exc, OSError) else str(exc)
        raise BindError(f"cannot {_VERBS[kind]} {text}: {reason}") from exc
    return bound


def _targets(text: str, address: Address, kind: socket.SocketKind) -> list[tuple[int, SockAddr]]:
    """Return (family, sockaddr) for each address to bind."""
    if isinstance(address, UnixAddress):
        return [(socket.AF_UNIX, address.path)]
    if address.host == "":
        return [(socket.AF_INET, ("0.0.0.0", address.port))]
    if address.host == "::" and not _has_ipv6():
        log.warning("%s: this host has no IPv6, listening on IPv4 only", text)
        return [(socket.AF_INET, ("0.0.0.0", address.port))]
    try:
        found = look_up_now(address.host, address.port, kind)
    except (OSError, UnicodeError) as exc:
        raise BindError(
            f"cannot {_VERBS[kind]} {text}: the name {address.host} has no address ({exc})"
        ) from exc
    targets: list[tuple[int, SockAddr]] = []
    for family, _, _, _, sockaddr in found:
        if (int(family), sockaddr) not in targets:
            targets.append((int(family), sockaddr))
    # Each address of a name would get another port.
    return targets if address.port else targets[:1]


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True

"""Binding of one socket to one address, with the socket options of the configuration."""

import errno
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from uwsgi_router.protocol.address import Address, UnixAddress
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import SockAddr
from uwsgi_router.router.net.unix_file import SocketFile, make_free, set_access

# Linux's number; the socket module does not name it.
_IP_FREEBIND: Final = 15
# uWSGI uses its socket timeout: after so many seconds a silent client is accepted all the same.
_DEFER_SECONDS: Final = 4


# Bytes that may wait on a subscription server's UDP socket.
_ANNOUNCES: Final = 4 * 1024 * 1024


def bind(
    family: int,
    kind: socket.SocketKind,
    sockaddr: SockAddr,
    process: ProcessConfig,
    *,
    defer: bool,
) -> tuple[socket.socket, SocketFile | None]:
    """Bind a non-blocking socket; a stream socket listens.

    Args:
        family: AF_INET, AF_INET6 or AF_UNIX.
        kind: SOCK_STREAM or SOCK_DGRAM.
        sockaddr: what ``bind`` takes for this family.
        process: backlog, socket options, access of socket files.
        defer: True to be told of TCP connections only once the client has sent something.

    Returns:
        The socket, and its file if it has one.

    Raises:
        OSError: see :func:`explain`.
        SocketFileError: if the path of a UNIX socket can't be used.
    """
    with _making(family, kind, process) as made:
        sock = made.sock
        if family == socket.AF_UNIX:
            made.file = _bind_unix(sock, sockaddr, process)
        elif kind == socket.SOCK_STREAM:
            _tcp_options(sock, process, defer=defer)
            sock.bind(sockaddr)
        else:
            _room_for_announces(sock, process)
            _bind_udp(sock, sockaddr, process)
    return made.sock, made.file


class _Made:
    """Socket that is being bound, and its file once it has one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file: SocketFile | None = None


@contextmanager
def _making(family: int, kind: socket.SocketKind, process: ProcessConfig) -> Iterator[_Made]:
    """Lend a socket to be bound, which then listens if it is a stream socket; if that fails, nothing is left of it."""
    made = _Made(socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK))
    try:
        _buffers(made.sock, process)
        yield made
        if kind == socket.SOCK_STREAM:
            made.sock.listen(process.listen)
    except BaseException:
        if made.file is not None:
            made.file.remove()
        made.sock.close()
        raise


def _buffers(sock: socket.socket, process: ProcessConfig) -> None:
    # Before listen(): accepted connections take the sizes over, and TCP's window scale is fixed by
    # them.
    if process.so_sndbuf is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, process.so_sndbuf)
    if process.so_rcvbuf is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, process.so_rcvbuf)


def _room_for_announces(sock: socket.socket, process: ProcessConfig) -> None:
    # A table of 100,000 nodes hears 10,000 announces a second; the usual buffer holds some 270, which is less than what
    # comes while a busy machine runs somebody else. The kernel gives what net.core.rmem_max allows.
    if process.so_rcvbuf is None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ANNOUNCES)


def _tcp_options(sock: socket.socket, process: ProcessConfig, *, defer: bool) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if process.reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if process.freebind:
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    if process.so_keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if defer:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_SECONDS)
    if sock.family == socket.AF_INET6:
        # [::] takes IPv4 too, whatever net.ipv6.bindv6only says: it is the way to ask for both.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _bind_udp(sock: socket.socket, sockaddr: SockAddr, process: ProcessConfig) -> None:
    host = ipaddress.ip_address(str(sockaddr[0]))
    if process.freebind:
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    if host.is_multicast:
        # Several processes of a host may listen to one group; on a plain port the second would
        # steal datagrams.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sockaddr[0] == "255.255.255.255":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(sockaddr)
    if not host.is_multicast:
        return
    if host.version == 4:
        membership = host.packed + socket.inet_aton("0.0.0.0")
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    else:
        scope = sockaddr[3] if isinstance(sockaddr, tuple) and len(sockaddr) > 3 else 0
        sock.setsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, host.packed + struct.pack("@I", scope)
        )


def _bind_unix(
    sock: socket.socket, sockaddr: SockAddr, process: ProcessConfig
) -> SocketFile | None:
    path = os.fsencode(sockaddr) if isinstance(sockaddr, str | bytes) else b""
    if path.startswith(b"\0"):
        sock.bind(path)
        return None
    make_free(path, sock.type)
    sock.bind(path)
    file = SocketFile(path)
    if sock.type == socket.SOCK_STREAM:
        try:
            # Nobody can connect before listen(), so nobody meets the file's first mode.
            set_access(path, process.chmod_socket, process.chown_socket)
        except BaseException:
            file.remove()
            raise
    return file


def bind_again(
    path: bytes, kind: socket.SocketKind, status: os.stat_result, process: ProcessConfig
) -> tuple[socket.socket, SocketFile]:
    """Bind another socket at the path of a UNIX socket whose file is gone.

    Args:
        path: of the file.
        kind: SOCK_STREAM or SOCK_DGRAM.
        status: of the file that was there: its mode, and, as far as we may give it away, its owner.
        process: backlog and socket options.

    Raises:
        OSError: it can't be bound.
        SocketFileError: something else is there.
    """
    make_free(path, kind)
    with _making(socket.AF_UNIX, kind, process) as made:
        # Nobody meets it with a mode that it does not keep.
        umask = os.umask(~stat.S_IMODE(status.st_mode) & 0o777)
        try:
            made.sock.bind(path)
        finally:
            os.umask(umask)
        file = made.file = SocketFile(path)
        file.give_to(status.st_uid, status.st_gid)
    return made.sock, file


def explain(exc: OSError, address: Address) -> str:
    """Say why :func:`bind` failed for ``address``, and what to do."""
    reason = (exc.strerror or str(exc)).lower()
    if isinstance(address, UnixAddress):
        hint = {
            errno.ENOENT: "its directory does not exist; create it",
            errno.EACCES: "we need write permission on its directory",
            errno.EPERM: "we need write permission on its directory",
            errno.EADDRINUSE: "another process has this name",
        }.get(exc.errno or 0, "")
    else:
        hint = {
            errno.EACCES: "ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket",
            errno.EADDRINUSE: f"`ss -lntup sport = :{address.port}` names who has it",
            errno.EADDRNOTAVAIL: "no interface has it (freebind would allow it)",
            errno.ENODEV: "no network interface for this group",
            errno.EINVAL: "a link-local address needs its interface: [fe80::1%eth0]:port",
        }.get(exc.errno or 0, "")
    return f"{reason}; {hint}" if hint else reason

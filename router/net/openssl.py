"""OpenSSL's end of a connection: the object of Python's ssl that encrypts and decrypts on a socket.

``SSLContext.wrap_socket`` makes another socket object of the same descriptor, and asks the kernel four times what is
known here: that takes 11 us, the object itself 2. So a server has it made on the link's own socket, by the method that
``wrap_socket`` calls (Lib/ssl.py, ``SSLSocket._create``), and calls it without ``SSLSocket`` in between. Where a Python
has no such method, and on connections to nodes, whose certificates are verified, ``wrap_socket`` does it.
"""

import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from uwsgi_router.router.net.poller import READABLE, WRITABLE


class BareSocket(socket.SocketType):
    """Bare socket for TLS: OpenSSL's object refers to it, and does not own it."""

    __slots__ = ("__weakref__",)


class TlsObject(Protocol):
    """OpenSSL's object for one connection.

    Where a method would have to wait it raises ``ssl.SSLWantReadError`` or ``ssl.SSLWantWriteError``, other errors as
    ``OSError``. ``ssl.SSLSocket`` has the same methods, but calls ``shutdown`` ``unwrap``.
    """

    @property
    def session_reused(self) -> bool | None:
        """An earlier session goes on."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""

    def read(self, size: int, buffer: memoryview, /) -> int:
        """Read into a buffer; return how many bytes, 0 at the peer's end."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Send all bytes, or none."""

    def version(self) -> str | None:
        """Return the version of TLS, as ``TLSv1.3``."""

    def shutdown(self) -> object:
        """Send close_notify, and look for the peer's."""

    def getpeercert(self, binary: bool, /) -> bytes | None:
        """Return the peer's certificate, in DER."""


#: Given a context and a socket: the socket, or the one that has taken its place, and OpenSSL's object on it.
Maker = Callable[[ssl.SSLContext, socket.SocketType], tuple[socket.SocketType, TlsObject]]


def wrapped(
    context: ssl.SSLContext,
    sock: socket.SocketType,
    *,
    server_side: bool = True,
    server_hostname: str | None = None,
    session: ssl.SSLSession | None = None,
) -> tuple[socket.SocketType, TlsObject]:
    """Return an ``SSLSocket`` that has taken the place of ``sock``.

    Args:
        context: of a server or of a client.
        sock: a bare one will do.
        server_side: of a server.
        server_hostname: that the certificate of a server must have, if the context verifies names.
        session: that a client may resume.

    Raises:
        OSError: the connection is broken.
    """
    # Otherwise the wrapped socket would be lost without having been closed.
    sock.getpeername()
    made = context.wrap_socket(
        cast("socket.socket", sock),
        server_side=server_side,
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
        server_hostname=server_hostname,
        session=session,
    )
    return made, cast("TlsObject", made)


def _on_bare(
    context: ssl.SSLContext, sock: socket.SocketType
) -> tuple[socket.SocketType, TlsObject]:
    """Return ``sock`` and OpenSSL's object on it, of a server."""
    # OpenSSL reads without MSG_DONTWAIT.
    os.set_blocking(sock.fileno(), False)
    return sock, context._wrap_socket(sock, True)  # type: ignore[attr-defined] # noqa: SLF001 - see above


def shake_hands(tls: TlsObject) -> int:
    """Go on with a handshake; return for what it waits: READABLE, WRITABLE, or 0: it is done.

    Compiled code makes a frame, for the traceback, of each error that comes from below, which takes longer than all
    of this.

    Raises:
        OSError: it has failed.
    """
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return READABLE
    except ssl.SSLWantWriteError:
        return WRITABLE
    return 0


def say_goodbye(sock: socket.SocketType, tls: TlsObject) -> OSError | None:
    """Send close_notify, and look for the peer's; return None if it has come.

    Args:
        sock: that the object is on, or that is the object itself.
        tls: OpenSSL's object.

    Returns:
        ssl.SSLWantReadError: it was sent, and the peer's has not come.
        ssl.SSLWantWriteError: the kernel does not take it yet.
        OSError: the connection is broken, or something else has come instead; it was sent in the latter case.
    """
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.unwrap()
        else:
            tls.shutdown()
    except OSError as exc:
        return exc.with_traceback(None)
    return None


def of_bare_sockets() -> Maker | None:
    """Return what makes OpenSSL's object of a server on a :class:`BareSocket`; None: this Python can't."""
    ours, theirs = socket.socketpair()
    with theirs:
        sock = BareSocket(ours.family, ours.type, 0, ours.detach())
        try:
            _sock, tls = _on_bare(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), sock)
            for name in ("do_handshake", "read", "write", "shutdown", "version", "getpeercert"):
                getattr(tls, name)
            return _on_bare if tls.session_reused is not None else None
        except (AttributeError, TypeError):
            return None
        finally:
            sock.close()


#: Makes the object of a server.
accepted: Final[Maker] = of_bare_sockets() or wrapped

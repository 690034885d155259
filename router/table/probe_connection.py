"""Connection of a health check to a node, plain or inside TLS, for a coroutine with a deadline."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.nodes import NodeTls, failure_of
from uwsgi_router.router.net.tls_read_end import is_end
from uwsgi_router.subscriptions.node import Node

T = TypeVar("T")

_CHUNK: Final = 16_384


class ProbeConnection:
    """Connection to a node, which is being made.

    Args:
        sock: non-blocking; closed with the connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send all of ``data``, once the connection is made.

        Raises:
            OSError: it can't be, or is broken.
        """
        await self._loop.sock_sendall(self._sock, data)

    async def recv(self, size: int) -> bytes:
        """Return the next bytes, at most ``size``; b"" at the node's end.

        Raises:
            OSError: it is broken.
        """
        return await self._loop.sock_recv(self._sock, size)

    def close(self) -> None:
        """Close it."""
        self._sock.close()


class TlsProbeConnection(ProbeConnection):
    """The same inside TLS. Each check is a full handshake: a session would prove nothing of the certificate.

    Args:
        sock: as above.
        context: of a client.
        name: that the node is asked for, and that its certificate must have; None: any.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    async def send(self, data: bytes) -> None:
        """Send all of ``data``, behind the handshake.

        Raises:
            OSError: the connection can't be made, or is broken; the node's certificate can't be believed.
        """
        why = ""
        try:
            await self._whole(self._tls.do_handshake)
        except ssl.SSLError as error:
            why = failure_of(error)
        if why:
            raise OSError(errno.EPROTO, f"TLS: {why}")
        self._tls.write(data)
        await super().send(self._outgoing.read())

    async def recv(self, size: int) -> bytes:
        """Return the next bytes; b"" at the node's end, in good order or not: a check reads no further than it must.

        Raises:
            OSError: it is broken.
        """
        try:
            return await self._whole(lambda: self._tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            # Of bytes in memory only an end is told as one, with a reason or without.
            if isinstance(error, ssl.SSLEOFError) or is_end(error):
                return b""
            raise

    async def _whole(self, step: Callable[[], T]) -> T:
        """Repeat a step of OpenSSL until it has what it needs of the node."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                pass
            else:
                await super().send(self._outgoing.read())
                return done
            await super().send(self._outgoing.read())
            data = await super().recv(_CHUNK)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()


def connection(node: Node, sock: socket.socket, tls: NodeTls) -> ProbeConnection:
    """Return the connection of a check, which speaks TLS if the node does.

    Args:
        node: it.
        sock: to it.
        tls: of the routers that use the node.

    Raises:
        OSError: a file is of no use, or the node has no name.
    """
    if not node.secure:
        return ProbeConnection(sock)
    try:
        return TlsProbeConnection(sock, tls.context(), tls.server_name(node))
    except CertificateFault as fault:
        raise OSError(errno.EPROTO, f"TLS: {fault}") from fault

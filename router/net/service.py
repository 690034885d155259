"""Small services: a coroutine for each client of a listening socket, bounded in number and time.

No service can hold up the router: clients above the limit wait in the kernel's backlog, every connection has an end
that does not depend on its client, and everything else gets its turn between two pieces of a client's bytes.
"""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.subscriptions.credentials import credentials_of

_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 64
    """Served at once."""
    total: float | None = 10.0
    """For all questions and answers of a connection, however busily its client trickles; None: no bound."""
    linger: float = 1.0
    """For the client to close after the last answer."""


class ServiceClient:
    """A connection to a service.

    Each read and each write lets others have their turn first: a fast client never makes them wait.

    Attributes:
        sock: non-blocking; closed by the service.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, host: str) -> None:
        self._loop = loop
        self._host = host
        self.sock = sock

    def __str__(self) -> str:
        """Return the name of the client, for the log."""
        if self._host:
            return self._host
        credentials = credentials_of(self.sock)
        if credentials is None:
            return "somebody"
        return f"user {credentials.uid}, process {credentials.pid}"

    async def recv(self, size: int = _CHUNK) -> bytes:
        """Return the next bytes, b"" at the client's end.

        Raises:
            OSError: the connection is broken.
        """
        await asyncio.sleep(0)
        return await self._loop.sock_recv(self.sock, size)

    async def send(self, data: bytes, *, stalled: float | None = None) -> None:
        """Send all of ``data``.

        Args:
            data: the bytes.
            stalled: seconds without a byte taken by the client; None: no bound.

        Raises:
            TimeoutError: the client has stalled.
            OSError: the connection is broken.
        """
        unsent = memoryview(data)
        while unsent:
            await asyncio.sleep(0)
            try:
                sent = self.sock.send(unsent[:_CHUNK])
            except BlockingIOError:
                async with asyncio.timeout(stalled):
                    await self._writable()
            else:
                unsent = unsent[sent:]

    async def _writable(self) -> None:
        writable = asyncio.Event()
        self._loop.add_writer(self.sock, writable.set)
        try:
            await writable.wait()
        finally:
            self._loop.remove_writer(self.sock)

    async def linger(self, seconds: float) -> None:
        """Let the client close first: closing with unread bytes would reset, which may destroy the answer."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(seconds):
                while await self.recv():
                    pass
        except OSError:  # TimeoutError too
            pass


class BoundedService(ABC):
    """Accepts clients and serves each in a task of its own.

    Args:
        listeners: the sockets, listening; closed with the service.
        loop: the event loop.
        limits: see :class:`ServiceLimits`.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        loop: asyncio.AbstractEventLoop,
        limits: ServiceLimits,
    ) -> None:
        self._loop = loop
        self._bounds = limits
        self._acceptor = Acceptor(loop, listeners, self._connected)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @abstractmethod
    async def serve(self, client: ServiceClient) -> None:
        """Read what a client asks, and answer.

        Raises:
            TimeoutError: the client is too slow, and is cut off.
            OSError: the client is gone.
        """

    def cut_off(self, client: ServiceClient) -> None:
        """Note that a client was too slow; called before its connection is closed."""

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    async def close(self) -> None:
        """Close the sockets, and cut the clients there are."""
        self._closed = True
        self._acceptor.stop(drain=False)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, bare: socket.SocketType, peer: Peer) -> None:
        sock = to_socket(bare)
        task = self._loop.create_task(self._run(ServiceClient(self._loop, sock, peer[0])))
        self._tasks.add(task)
        # Not in _run: a task that is cancelled before its first step never gets to its "finally".
        task.add_done_callback(lambda done: self._ended(done, sock))
        if len(self._tasks) >= self._bounds.connections:
            self._acceptor.pause()

    def _ended(self, task: "asyncio.Task[None]", sock: socket.socket) -> None:
        sock.close()
        self._tasks.discard(task)
        if not self._closed:
            self._acceptor.resume()

    async def _run(self, client: ServiceClient) -> None:
        """Serve one client, to its end."""
        try:
            async with asyncio.timeout(self._bounds.total):
                await self.serve(client)
        except TimeoutError:
            self.cut_off(client)
        except OSError:
            pass
        except Exception as exc:  # noqa: BLE001 - one client's bug must not stop the others
            self._loop.call_exception_handler(
                {"message": f"a bug while serving {client}", "exception": exc}
            )
        else:
            await client.linger(self._bounds.linger)

"""Small services: a coroutine for each client of a listening socket, bounded in number and time.

No service can hold up the router: clients above the limit wait in the kernel's backlog, every connection has an end
that does not depend on its client, and everything else gets its turn between two pieces of a client's bytes. Nor can
its clients hold up one another: :class:`Turns` lets one of them have something made in each turn of the loop, and where
``makes_room`` is set, whoever does not ask, or does not take the answer, goes when others come.
"""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.subscriptions.credentials import credentials_of

_CHUNK: Final = 64 * 1024
# Clients that are accepted in one turn: each costs a task.
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 64
    """Served at once."""
    total: float | None = 10.0
    """For all questions and answers of a connection, however busily its client trickles; None: no bound."""
    linger: float = 1.0
    """For the client to close after the last answer."""


class Turns:
    """Turns of tasks that have much to do: one of them goes on in each turn of the loop, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for a turn."""
        turn = self._loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._give)
        await turn

    def _give(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            # Its task may have been cancelled.
            if not turn.done():
                turn.set_result(None)
                break
        if self._waiting:
            self._loop.call_soon(self._give)


class ServiceClient:
    """A connection to a service.

    Each read and each write lets others have their turn first: a fast client never makes them wait.

    Attributes:
        sock: non-blocking; closed by the service.
        waiting: for the client to send something, or to take something.
        since: when it connected, or last took something, on the loop's clock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, host: str) -> None:
        self._loop = loop
        self._host = host
        self.sock = sock
        self.waiting = False
        self.since = loop.time()

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
        self.waiting = True
        try:
            return await self._loop.sock_recv(self.sock, size)
        finally:
            self.waiting = False

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
                self.since = self._loop.time()

    async def _writable(self) -> None:
        writable = asyncio.Event()
        self._loop.add_writer(self.sock, writable.set)
        self.waiting = True
        try:
            await writable.wait()
        finally:
            self.waiting = False
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

    makes_room: ClassVar[bool] = False
    """Whether a client above the limit takes the place of the one that has kept us waiting for the longest time."""

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        loop: asyncio.AbstractEventLoop,
        limits: ServiceLimits,
    ) -> None:
        self._loop = loop
        self._bounds = limits
        self._acceptor = Acceptor(loop, listeners, self._connected, batch=_BATCH)
        self._clients: dict[asyncio.Task[None], ServiceClient] = {}
        self._closed = False

    @property
    def clients(self) -> int:
        """Number of clients that are served now."""
        return len(self._clients)

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

    def stop_accepting(self) -> None:
        """Close the sockets: other clients are served by another process."""
        self._acceptor.stop(drain=False)

    async def close(self) -> None:
        """Close the sockets, and cut the clients there are."""
        self._closed = True
        self._acceptor.stop(drain=False)
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _connected(self, bare: socket.SocketType, peer: Peer) -> None:
        sock = to_socket(bare)
        client = ServiceClient(self._loop, sock, peer[0])
        task = self._loop.create_task(self._run(client))
        self._clients[task] = client
        # Not in _run: a task that is cancelled before its first step never gets to its "finally".
        task.add_done_callback(lambda done: self._ended(done, sock))
        above = len(self._clients) - self._bounds.connections
        # Who makes room has to know that somebody has come.
        if (above >= 0 and not self.makes_room) or (above > 0 and not self._make_room()):
            self._acceptor.pause()

    def _make_room(self) -> bool:
        """Close the connection of the client that has kept us waiting for the longest time; False: there is none."""
        waiting = [task for task, client in self._clients.items() if client.waiting]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda task: self._clients[task].since)
        self._clients[oldest].waiting = False
        oldest.cancel()
        return True

    def _ended(self, task: "asyncio.Task[None]", sock: socket.socket) -> None:
        sock.close()
        del self._clients[task]
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

"""Client connections: accept to close, request ids, graceful stop."""

import asyncio
import logging
import socket
from abc import abstractmethod
from typing import Final

from uwsgi_router.router.core.failure import ClientGone
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.deadlines import Deadlines
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.subscriptions.traffic import Traffic

# After an answer that came before the upload's end: how long we read on, so that the client is not reset before it has
# read the answer (as nginx's lingering_timeout and lingering_time).
LINGER_IDLE: Final = 5.0
LINGER_TOTAL: Final = 30.0

log = logging.getLogger("uwsgi-router.request")


class Connection(LinkOwner):
    """Connection of one client: owns the socket, and the coroutine that serves its requests.

    Args:
        connections: the open ones of the router.
        sock: the accepted socket.
        peer: see below.
        number: see below.
        seconds: until a request must have come.
        traffic: bytes of all clients.

    Attributes:
        fiber: runs :meth:`serve`.
        link: the client's end.
        peer: the client's (host, port); ("", 0) on a UNIX socket.
        number: number of this connection, counted since the router started.
        connections: the open ones of the router.
        discarded: bytes that were read behind its last answer, for nobody.
    """

    __slots__ = ("connections", "discarded", "fiber", "link", "number", "peer")

    def __init__(
        self,
        connections: "Connections",
        sock: socket.SocketType,
        peer: Peer,
        number: int,
        seconds: float,
        traffic: Traffic,
    ) -> None:
        self.connections = connections
        self.fiber = Fiber(connections.loop, connections.poller, seconds)
        self.link = Link(connections.poller, sock, self, traffic)
        self.peer = peer
        self.number = number
        self.discarded = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.fiber.phase.value}>"

    @property
    def id(self) -> str:
        """Id of the request being served, for the log and for answers of ours."""
        return f"{self.connections.ids}-{self.number:x}"

    @abstractmethod
    async def serve(self) -> None:
        """Serve the connection's requests."""

    def hurry(self, seconds: float) -> None:
        """Stop soon: if no request was read yet, wait for it no longer than ``seconds``."""

    def start(self) -> None:
        """Begin to serve."""
        self.connections.add(self)
        self.fiber.run(self.serve(), self.ended)

    def ended(self, error: BaseException | None) -> None:
        """Release everything: the coroutine has ended, of itself or with ``error``."""
        if error is not None and not isinstance(error, ClientGone | asyncio.CancelledError):
            log.error("%r: a bug: this request was lost", self, exc_info=error)
        self.link.close()
        self.connections.discard(self)

    # --- what the client's link tells ---

    def readable(self) -> None:
        """Wake the fiber: something can be read."""
        self.fiber.wake()

    def wake(self) -> None:
        """Wake the fiber: the last unsent byte went out."""
        self.fiber.wake()

    def touch(self) -> None:
        """Move the fiber's deadline on: unsent bytes went out."""
        self.fiber.touch()

    def link_broken(self, link: Link, error: OSError) -> None:  # noqa: ARG002
        """Note that the client takes no more bytes: it is gone."""
        link.close()
        self.fiber.lost()


class Connections:
    """Open connections of one router, and their deadlines.

    Attributes:
        ids: prefix of this run's request ids.
        stopping: the router stops: no connection is kept for another request.
        linger_idle: seconds of silence after which an answered client is not read any more.
        deadlines: of the connections, and of what else they wait for.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, poller: Poller, tick: float, ids: str
    ) -> None:
        self.loop = loop
        self.poller = poller
        self.ids = ids
        self.deadlines = Deadlines(loop, tick)
        self.stopping = False
        self.linger_idle = LINGER_IDLE
        self._open: set[Connection] = set()
        self._drained: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Connection]:
        """Return those that are open now."""
        return list(self._open)

    def add(self, connection: Connection) -> None:
        """Take in a new one."""
        self._open.add(connection)
        self.deadlines.add(connection.fiber)

    def discard(self, connection: Connection) -> None:
        """Forget one that has ended."""
        self._open.discard(connection)
        self.deadlines.discard(connection.fiber)
        if not self._open and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def stop(self, seconds: float, linger: float) -> None:
        """Serve no further requests but those that come within ``seconds`` on new connections.

        Args:
            seconds: see above.
            linger: seconds for which answered clients are still read.
        """
        self.stopping = True
        self.linger_idle = linger
        for connection in self.all():
            if connection.fiber.phase is Phase.LINGER:
                # Its deadline does not move any more: nobody may hold up the stop by sending.
                connection.fiber.arm(Phase.LINGER, linger)
            else:
                connection.hurry(seconds)

    async def drained(self) -> None:
        """Return when the last one has ended."""
        if self._open:
            self._drained = self.loop.create_future()
            await self._drained

    def abort(self) -> None:
        """End all of them now."""
        self.poller.tick()
        for connection in self.all():
            connection.fiber.cancel()
        self.deadlines.close()

"""Client connections: accept to close, request ids, graceful stop."""

import asyncio
import logging
from abc import abstractmethod
from heapq import nsmallest
from math import inf
from typing import Final

from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure
from uwsgi_router.router.net.acceptor import Peer
from uwsgi_router.router.net.deadlines import Deadlines
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.proxy.connection_limits import ConnectionLimits, source_of
from uwsgi_router.router.report.counters import Counters

# After an answer that came before the upload's end: how long we read on, so that the client is not reset before it has
# read the answer (as nginx's lingering_timeout and lingering_time).
LINGER_IDLE: Final = 5.0
LINGER_TOTAL: Final = 30.0

log = logging.getLogger("uwsgi-router.request")

# Idle connections are looked for among all of them: so many of a limit are closed at once.
_BATCH: Final = 64
# If at least one in so many idle connections never had a request, only such are closed.
_SILENT: Final = 8


class Connection(LinkOwner):
    """Connection of one client: owns the socket, and the coroutine that serves its requests.

    Args:
        connections: the open ones of the router.
        link: see below.
        peer: see below.
        number: see below.
        seconds: until a request must have come.

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
        link: Link,
        peer: Peer,
        number: int,
        seconds: float,
    ) -> None:
        self.connections = connections
        self.fiber = Fiber(connections.loop, connections.poller, seconds)
        self.link = link
        link.owned_by(self)
        self.peer = peer
        self.number = number
        self.discarded = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.fiber.phase.value}>"

    @property
    def id(self) -> str:
        """Id of the request being served, for the log and for answers of ours."""
        return f"{self.connections.ids}-{self.number:x}"

    @property
    def kept(self) -> bool:
        """True if a request was served: among the idle connections these are closed last."""
        return False

    @property
    def idle_since(self) -> float:
        """Since when no request has come, on the loop's clock; infinity while one is served."""
        return inf

    @abstractmethod
    async def serve(self) -> None:
        """Serve the connection's requests."""

    def hurry(self, seconds: float) -> None:
        """Stop soon: if no request was read yet, wait for it no longer than ``seconds``."""

    def discard(self) -> None:
        """Free what has been read and will not be served."""

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


def _order(connection: Connection) -> tuple[bool, float, int]:
    """Return what idle connections are sorted by, in the order in which they are closed."""
    return connection.kept, connection.idle_since, connection.number


class Connections:
    """Open connections of one router, their limits and deadlines.

    Args:
        loop: the event loop.
        poller: of all connections.
        tick: seconds between two looks at the deadlines.
        ids: see below.
        limits: see below.
        counters: of the router.
        idle_grace: seconds for which a connection may be idle and is not closed for others.

    Attributes:
        ids: prefix of this run's request ids.
        limits: how many there may be.
        refused: those that are only told that they are too many.
        stopping: the router stops: no connection is kept for another request.
        linger_idle: seconds of silence after which an answered client is not read any more.
        deadlines: of the connections, and of what else they wait for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        tick: float,
        ids: str,
        limits: ConnectionLimits,
        counters: Counters,
        idle_grace: float,
    ) -> None:
        self.loop = loop
        self.poller = poller
        self.ids = ids
        self.limits = limits
        self.refused = 0
        self.deadlines = Deadlines(loop, tick)
        self.stopping = False
        self._counters = counters
        self._idle_grace = idle_grace
        # When idle connections may be looked for again: of anybody, of one client.
        self._next_look = self._next_look_of_client = 0.0
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
        if self.limits.counting:
            self.limits.came(connection.peer[0])

    def discard(self, connection: Connection) -> None:
        """Forget one that has ended."""
        self._open.discard(connection)
        self.deadlines.discard(connection.fiber)
        if self.limits.counting:
            self.limits.left(connection.peer[0], len(self._open))
        if not self._open and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # --- how many there may be ---

    def refusal(self, host: str) -> Failure | None:
        """Return the reason to refuse one more connection of this client; idle ones are closed to make room.

        To be asked when there are as many as ``limits.least``.
        """
        limits = self.limits
        count = len(self._open) - self.refused
        if count >= limits.total and not self.close_idle(1 + limits.total // _BATCH):
            text = f"{count} are open and none is idle"
            return Failure(reasons.MAX_CONNECTIONS, text, limits.total)
        if count < limits.per_client:
            return None
        if not limits.counting:
            limits.begin([connection.peer[0] for connection in self._open])
        return self._refusal_of_client(host, None)

    def _refusal_of_client(self, host: str, connection: Connection | None) -> Failure | None:
        """Return the reason to refuse a client's connection, which is None as long as it is not made."""
        limits = self.limits
        if limits.has_room(host, told=connection is not None) or self._close_idle_of(
            host, connection
        ):
            return None
        text = "its address has as many as it may have, and none is idle"
        return Failure(reasons.MAX_CONNECTIONS_PER_CLIENT, text, limits.per_client)

    def peer_told(self, connection: Connection, peer: Peer) -> Failure | None:
        """Note who the client is, as its proxy tells; return the reason to refuse it, or None."""
        limits, before = self.limits, connection.peer[0]
        connection.peer = peer
        if len(self._open) - self.refused < limits.per_client:
            if limits.counting:
                limits.left(before, len(self._open))
                limits.came(peer[0])
            return None
        if limits.counting:
            limits.left(before, len(self._open))
        else:
            limits.begin([one.peer[0] for one in self._open if one is not connection])
        failure = self._refusal_of_client(peer[0], connection)
        limits.came(peer[0])
        return failure

    def close_idle(self, most: int) -> int:
        """Close up to so many of the connections that were idle for longest; return how many."""
        now = self.loop.time()
        if now < self._next_look:
            return 0
        closed = self._close(list(self._open), most, now)
        if closed < most:
            self._next_look = now + self._idle_grace / 4
        return closed

    def _close_idle_of(self, host: str, but: Connection | None) -> int:
        """Do the same with the connections of one client, but for the one that is running."""
        now = self.loop.time()
        if now < self._next_look_of_client:
            return 0
        source, most = source_of(host), 1 + self.limits.per_client // _BATCH
        theirs = [one for one in self._open if one is not but and source_of(one.peer[0]) == source]
        closed = self._close(theirs, most, now)
        if closed < most:
            self._next_look_of_client = now + self._idle_grace / 4
        return closed

    def _close(self, connections: list[Connection], most: int, now: float) -> int:
        idle = [one for one in connections if one.idle_since <= now]
        # Who has sent a request is closed only if it is not the others that fill the places.
        silent = [one for one in idle if not one.kept]
        if len(silent) * _SILENT >= len(idle):
            idle = silent
        before = now - self._idle_grace
        idle = [one for one in idle if one.idle_since <= before]
        closed = 0
        for connection in nsmallest(most, idle, key=_order):
            # A request that has just come is served.
            if connection.link.is_quiet():
                connection.fiber.cancel()
                closed += 1
        self._counters.idle_closed += closed
        return closed

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

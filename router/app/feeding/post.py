"""Post of a process about feeds: what the master says of who is fed by whom, kept until it is wanted."""

import asyncio
import socket
from collections.abc import Callable

from uwsgi_router.router.table.feed.parts import Worker

Predecessor = tuple[socket.socket, Worker]
"""Process that decided before, and the socket to it."""


class FeedPost:
    """Post about feeds; to be made on the event loop.

    Args:
        built: called when everything but the table is there, and the table may come from another process.

    Attributes:
        built: see above.
    """

    def __init__(self, built: Callable[[], object] = lambda: None) -> None:
        loop = asyncio.get_running_loop()
        self.built = built
        self._feed: asyncio.Future[socket.socket] = loop.create_future()
        self._take: asyncio.Future[Predecessor | None] = loop.create_future()
        self._recover: asyncio.Future[bool] = loop.create_future()
        self._attached: list[tuple[socket.socket, Worker]] = []
        self._on_feed: Callable[[socket.socket], None] | None = None
        self._on_attach: Callable[[socket.socket, Worker], None] | None = None

    # --- the master's side ---

    def feed(self, sock: socket.socket) -> None:
        """Take the socket of an owner."""
        if self._on_feed is not None:
            self._on_feed(sock)
            return
        if self._feed.done():
            # It has come before anybody wanted the one before it.
            self._feed.result().close()
            self._feed = asyncio.get_running_loop().create_future()
        self._feed.set_result(sock)

    def attach(self, sock: socket.socket, worker: Worker) -> None:
        """Take the socket of a worker that is to be fed."""
        if self._on_attach is not None:
            self._on_attach(sock, worker)
        else:
            self._attached.append((sock, worker))

    def recover(self, *, asked: bool) -> None:
        """Take that all workers have been told of that there are; ``asked``: they have the table."""
        if not self._recover.done():
            self._recover.set_result(asked)

    def take(self, predecessor: Predecessor | None) -> None:
        """Take where the table comes from; None: from nowhere."""
        if not self._take.done():
            self._take.set_result(predecessor)
        elif predecessor is not None:
            predecessor[0].close()

    def close(self) -> None:
        """Close what nobody wanted."""
        if self._feed.done() and self._on_feed is None:
            self._feed.result().close()
        for sock, _ in self._attached:
            sock.close()
        self._attached.clear()
        for future in (self._feed, self._take, self._recover):
            future.cancel()

    # --- the process's side ---

    async def owner(self, then: Callable[[socket.socket], None]) -> None:
        """Wait for the first owner; ``then`` is called with it, and with each that follows."""
        sock = await self._feed
        self._on_feed = then
        then(sock)

    def owners(self, then: Callable[[socket.socket], None]) -> None:
        """Call ``then`` with each owner from now on."""
        self._on_feed = then

    def workers(self, then: Callable[[socket.socket, Worker], None]) -> None:
        """Call ``then`` with each worker that is to be fed, those included that have been told of."""
        self._on_attach = then
        for sock, worker in self._attached:
            then(sock, worker)
        self._attached.clear()

    async def predecessor(self) -> Predecessor | None:
        """Return where the table comes from, once that is known."""
        self.built()
        return await self._take

    async def complete(self) -> bool:
        """Wait until all workers have been told of; return True if they have the table."""
        return await self._recover

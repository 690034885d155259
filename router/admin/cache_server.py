"""Cache socket: uWSGI's workers and scripts fill and read our caches (uWSGI: plugins/cache/cache.c).

One command per connection, as uWSGI has it; every failure is an end without a byte, and one line in the log. Nothing
here can hold up the router: few connections at once, the rest waits in the kernel's backlog; each has an end that does
not depend on its client; a value is only read when it can be stored.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf

from uwsgi_router.protocol.cache import (
    FORM_GET,
    FORM_VARIABLES,
    OK,
    Command,
    Hit,
    decode_command,
    encode_hit,
    encode_miss,
)
from uwsgi_router.protocol.uwsgi import MAX_DATASIZE, PacketError
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.routing.cache_store import Cache, Caches, NotStored

log = logging.getLogger("uwsgi-router.cache")

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the cost of one client, and of all together; times in seconds."""

    connections: int = 64
    """Served at once."""
    total: float = 10.0
    """For a whole command and its answer, however busily the client trickles."""
    linger: float = 1.0
    """For the client to close after the answer."""


class Refused(Exception):
    """Refusal of a command; ``str()`` says why."""


class CacheServer:
    """Cache server: carries out commands on all caches.

    Args:
        listeners: the sockets, listening; closed with the server.
        caches: what they give access to.
        loop: the event loop; items end on its clock.
        wall_clock: returns the epoch; clients hear of ends in it.
        limits: see :class:`Limits`.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        caches: Caches,
        *,
        loop: asyncio.AbstractEventLoop,
        wall_clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._caches = caches
        self._loop = loop
        self._wall_clock = wall_clock
        self._limits = limits or Limits()
        self._acceptor = Acceptor(loop, listeners, self._connected)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._limited = RateLimited(log)

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
        task = self._loop.create_task(self._serve(sock, peer[0] or "unix"))
        self._tasks.add(task)
        # Not in _serve: a task that is cancelled before its first step never gets to its "finally".
        task.add_done_callback(lambda done: self._ended(done, sock))
        if len(self._tasks) >= self._limits.connections:
            self._acceptor.pause()

    def _ended(self, task: "asyncio.Task[None]", sock: socket.socket) -> None:
        sock.close()
        self._tasks.discard(task)
        if not self._closed:
            self._acceptor.resume()

    async def _serve(self, sock: socket.socket, peer: str) -> None:
        """One connection, to its end."""
        try:
            async with asyncio.timeout(self._limits.total):
                answer = await self._answer(sock)
                if answer:
                    await self._loop.sock_sendall(sock, answer)
        except (PacketError, Refused) as exc:
            self._limited.warning("refused", "refused a cache command from %s: %s", peer, exc)
        except TimeoutError:
            text = "cut off a cache client, %s: not done within %g s"
            self._limited.warning("slow", text, peer, self._limits.total)
            return
        except OSError:
            return
        except Exception:
            log.exception("a bug: a cache command of %s was lost", peer)
            return
        await self._linger(sock)

    async def _linger(self, sock: socket.socket) -> None:
        """Let the client close first: closing with unread bytes would reset, which may destroy the answer."""
        try:
            sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(self._limits.linger):
                while await self._loop.sock_recv(sock, _CHUNK):
                    pass
        except OSError:  # TimeoutError too
            pass

    async def _answer(self, sock: socket.socket) -> bytes:
        """Read a command, carry it out, and return what the client is told.

        Raises:
            PacketError: what came is no command.
            Refused: it can't be carried out.
        """
        data = b""
        while (read := decode_command(data)) is None:
            more = await self._loop.sock_recv(sock, _CHUNK)
            if not more:
                if data:
                    raise PacketError(f"it ended after {len(data)} bytes, inside the packet")
                return b""
            data += more
        command, end = read
        cache = self._caches.find(command.cache)
        if cache is None:
            raise Refused(f"there is no cache {command.cache[:80]!r}")
        if command.name in {"set", "update"}:
            value = command.value
            if value is None:
                value = await self._value(sock, cache, command.size, data[end:])
            return self._store(cache, command, value)
        return self._other(cache, command)

    async def _value(self, sock: socket.socket, cache: Cache, size: int, begun: bytes) -> bytes:
        if size > cache.config.max_value:
            raise Refused(f"a value of {size} bytes, at most {cache.config.max_value} fit")
        value = bytearray(begun)
        while len(value) < size:
            more = await self._loop.sock_recv(sock, _CHUNK)
            if not more:
                raise PacketError(f"it ended after {len(value)} of {size} bytes of value")
            value += more
        return bytes(value[:size])

    def _store(self, cache: Cache, command: Command, value: bytes) -> bytes:
        try:
            cache.store(
                command.key,
                value,
                self._loop.time(),
                lifetime=command.expires,
                overwrite=command.name == "update",
            )
        except NotStored as exc:
            raise Refused(f"{command.name} {command.key[:80]!r}: {exc}") from exc
        return OK if command.form == FORM_VARIABLES else b""

    def _other(self, cache: Cache, command: Command) -> bytes:
        now = self._loop.time()
        if command.name == "clear":
            cache.clear()
            return OK
        if command.name == "del":
            found = cache.delete(command.key, now)
            return OK if found and command.form == FORM_VARIABLES else b""
        item = cache.get(command.key, now)
        if command.name == "exists":
            return OK if item is not None else b""
        if item is None:
            return encode_miss(command.form)
        if command.form == FORM_GET and len(item.value) > MAX_DATASIZE:
            raise Refused(f"{len(item.value)} bytes are too many for modifier2 {FORM_GET}")
        ends = 0
        if item.expires != inf:
            ends = ceil(self._wall_clock() + item.expires - now)
        return encode_hit(Hit(len(item.value), ends), command.form) + item.value

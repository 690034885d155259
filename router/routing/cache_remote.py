"""Remote cache: another server's cache, asked over the uwsgi cache protocol (uWSGI: plugins/cache/cache.c).

uWSGI has no such thing for routers. Answers are remembered for a moment, so that not every request costs a query, and
so that a cache that does not answer takes no nodes away that are known already.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from uwsgi_router.protocol.address import Address, InetAddress, parse_address
from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.cache import CacheCommand, decode_hit, encode_command
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.protocol.uwsgi import PacketError
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.connect import Endpoint, begin, endpoint, outcome
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.routing.cache_store import Item

log = logging.getLogger("uwsgi-router.cache")

#: Seconds that an answer is remembered: how late a change is noticed.
HIT_TTL: Final = 2.0
MISS_TTL: Final = 1.0
#: After a query that was not answered nobody asks for so long.
REST: Final = 1.0
#: Keys come from clients: no more are remembered, the oldest goes first.
MAX_REMEMBERED: Final = 10_000
#: Connections to the other server at once.
MAX_QUERIES: Final = 32
#: Bytes of a value; more names no nodes.
MAX_VALUE: Final = 65_536


class NoAnswer(Exception):
    """Error: the other server did not answer; ``str()`` says why.

    Attributes:
        timed_out: nothing came in time.
    """

    def __init__(self, text: str, *, timed_out: bool) -> None:
        super().__init__(text)
        self.timed_out = timed_out


@dataclass(slots=True)
class _Remembered:
    """Remembered answer: an item or, None, that there is none; until when nobody asks again."""

    item: Item | None
    until: float


class RemoteCache:
    """Remote cache, with answers remembered for a moment.

    Args:
        text: ``NAME@ADDRESS`` as configured.
        loop: the event loop.
        resolver: for a host name.
        deadline: seconds that one query may take, its connect included.
        wall_clock: returns the epoch, in which the other server says when an item ends.
        remember: keys whose answers are remembered.
    """

    def __init__(
        self,
        text: str,
        *,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        deadline: float,
        wall_clock: Callable[[], float],
        remember: int = MAX_REMEMBERED,
    ) -> None:
        name, _, address = text.partition("@")
        self.text = text
        self.deadline = deadline
        self._name = to_bytes(name)
        self._address: Address = parse_address(address)
        self._loop = loop
        self._resolver = resolver
        self._wall_clock = wall_clock
        self._remembered: dict[bytes, _Remembered] = Bounded(remember)
        self._queries: dict[bytes, asyncio.Task[Item | None]] = {}
        self._places = asyncio.Semaphore(MAX_QUERIES)
        self._last_failure = ("", False)
        self._rests_until = -inf
        self._limited = RateLimited(log)

    def __repr__(self) -> str:
        return f"<RemoteCache {self.text} {len(self._remembered)} remembered>"

    def remembered(self, key: bytes, now: float) -> Item | None:
        """Return the item if it is known just now.

        Raises:
            KeyError: if the other server has to be asked.
        """
        known = self._remembered[key]
        if known.until <= now:
            raise KeyError(key)
        return known.item

    async def get(self, key: bytes) -> Item | None:
        """Return the item, or None if there is none; one query serves all who want it at once.

        Raises:
            NoAnswer: if the server did not answer, and did not lately for this key.
        """
        now = self._loop.time()
        known = self._remembered.get(key)
        if known is not None and known.until > now:
            return known.item
        try:
            if now < self._rests_until:
                reason, timed_out = self._last_failure
                raise NoAnswer(reason, timed_out=timed_out)
            # A request that gives up must not cancel the query of the others.
            return await asyncio.shield(self._query_of(key))
        except NoAnswer:
            if known is not None and known.item is not None and known.item.expires > now:
                return known.item
            raise

    def close(self) -> None:
        """Give up the queries under way."""
        for task in list(self._queries.values()):
            task.cancel()

    def _query_of(self, key: bytes) -> "asyncio.Task[Item | None]":
        task = self._queries.get(key)
        if task is None:
            task = self._queries[key] = self._loop.create_task(self._learn(key))
            task.add_done_callback(lambda done: self._finished(key, done))
        return task

    def _finished(self, key: bytes, task: "asyncio.Task[Item | None]") -> None:
        del self._queries[key]
        if not task.cancelled():
            task.exception()  # each waiter got it; without a waiter nobody needs it

    async def _learn(self, key: bytes) -> Item | None:
        """Ask, and remember the answer."""
        try:
            async with asyncio.timeout(self.deadline), self._places:
                found = await self._ask(key)
        except PacketError as exc:
            self._limited.warning("answer", "cache %s: %r: %s", self.text, key, exc)
            raise NoAnswer(str(exc), timed_out=False) from exc
        except OSError as exc:
            # asyncio's TimeoutError is an OSError without a number.
            timed_out = isinstance(exc, TimeoutError)
            reason = exc.strerror or str(exc)
            if timed_out:
                reason = f"no answer within {self.deadline:g} s"
            self._last_failure = (reason, timed_out)
            self._rests_until = self._loop.time() + REST
            self._limited.warning("query", "cache %s does not answer: %s", self.text, reason)
            raise NoAnswer(reason, timed_out=timed_out) from exc
        return self._remember(key, found)

    def _remember(self, key: bytes, found: tuple[bytes, int] | None) -> Item | None:
        now = self._loop.time()
        known = self._remembered.pop(key, None)
        if found is None:
            self._remembered[key] = _Remembered(None, now + MISS_TTL)
            return None
        value, ends = found
        left = ends - self._wall_clock() if ends else inf
        item = known.item if known is not None and known.item is not None else Item(value)
        # The turns go on: it is the same item, asked for again.
        item.value, item.expires = value, now + left
        self._remembered[key] = _Remembered(item, now + min(HIT_TTL, left))
        return item

    async def _ask(self, key: bytes) -> tuple[bytes, int] | None:
        """Return (value, epoch second of its end or 0), or None.

        Raises:
            OSError: no connection, or it broke.
            PacketError: the answer makes no sense.
        """
        packet = encode_command(CacheCommand("get", key, self._name))
        sock, connected = begin(await self._endpoint())
        with sock:
            if not connected:
                await self._writable(sock.fileno())
                outcome(sock)
            await self._loop.sock_sendall(sock, packet)
            data = b""
            answer = None
            while answer is None or len(data) < answer[1] + answer[0].size:
                more = await self._loop.sock_recv(sock, 65_536)
                if not more:
                    if data:
                        raise PacketError(f"it ended after {len(data)} bytes, inside the answer")
                    return None
                data += more
                answer = answer or decode_hit(data)
                if answer is not None and answer[0].size > MAX_VALUE:
                    raise PacketError(f"a value of {answer[0].size} bytes names no nodes")
            hit, at = answer
            return data[at : at + hit.size], hit.expires

    async def _endpoint(self) -> Endpoint:
        found = endpoint(self._address)
        if found is not None:
            return found
        assert isinstance(self._address, InetAddress)
        found_by_name = await self._resolver.resolve(self._address)
        if not found_by_name:
            raise OSError(errno.EADDRNOTAVAIL, f"{self._address.host} has no address")
        return found_by_name[0]

    async def _writable(self, fd: int) -> None:
        done = self._loop.create_future()
        self._loop.add_writer(fd, _settle, done)
        try:
            await done
        finally:
            self._loop.remove_writer(fd)


def _settle(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
